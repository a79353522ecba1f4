// SPDX-License-Identifier: GPL-2.0

//! Step 6: transmit.
//!
//! Packets come in at the ring's tail: each is mapped, and gets a descriptor for every piece; then
//! the tail register tells the card. When the card has written a packet's last descriptor back, the
//! packet is unmapped and freed, and the ring's head moves on. QEMU's card does so at once, so that
//! it is looked for right after telling the card; what is left then, a poll reclaims.

use crate::{
    descriptors::{
        context,
        ContextCommand,
        ContextOffsets,
        TransmitCommand, //
    },
    hardware::Hardware,
    net::{
        Mapping,
        Offload,
        OnWire,
        Poll,
        Queue,
        Sent,
        SkBuff, //
    },
    ring::Ring, //
};
use kernel::{
    device::{
        self,
        Bound, //
    },
    prelude::*, //
};

/// The most bytes that one descriptor may stand for.
///
/// The descriptor could say more. But the card looks for room in its packet memory by the piece, so
/// that the C driver keeps to this as well.
const PIECE: u32 = 4096;

/// The most descriptors of a packet, and one that keeps the ring's tail from its head: a context,
/// 64 KiB and headers in pieces of that size, and what the packet's own pieces add by each being
/// cut for itself.
const MOST_DESCRIPTORS: usize = 1 + 1 + (65536 / PIECE as usize + 1) + SkBuff::MOST_PIECES;

/// What belongs to a descriptor of the ring.
#[derive(Default)]
struct Slot<'up> {
    /// The memory that it stands for. Unmapped before the packet is freed.
    mapping: Option<Mapping<'up>>,
    /// The packet, at its last descriptor.
    packet: Option<SkBuff>,
    /// The index of the packet's last descriptor, which is the one that the card writes back.
    last: usize,
}

/// The ring for sending.
pub(crate) struct Transmitter<'up> {
    hardware: &'up Hardware<'up>,
    dev: &'up device::Device<Bound>,
    ring: Ring,
    slots: KVec<Slot<'up>>,
    /// The context that the card was told of last, which holds until the next.
    context: Option<(ContextOffsets, ContextCommand)>,
    /// The first descriptor that was not reclaimed.
    head: usize,
    /// The first descriptor that is not in use.
    tail: usize,
    /// The first descriptor that the card was not told of.
    given: usize,
    /// The queue is stopped.
    stopped: bool,
}

impl<'up> Transmitter<'up> {
    /// Steps 1 and 2: allocates a ring of `len` descriptors.
    pub(crate) fn new(
        hardware: &'up Hardware<'up>,
        dev: &'up device::Device<Bound>,
        len: usize,
    ) -> Result<Self> {
        let mut slots = KVec::with_capacity(len, GFP_KERNEL)?;
        for _ in 0..len {
            slots.push(Slot::default(), GFP_KERNEL)?;
        }
        Ok(Self {
            hardware,
            dev,
            ring: Ring::new(dev, len)?,
            slots,
            context: None,
            head: 0,
            tail: 0,
            given: 0,
            stopped: false,
        })
    }

    /// Step 3: tells the card of the ring.
    pub(crate) fn start(&self) {
        self.hardware
            .start_transmit(self.ring.address(), self.ring.bytes());
    }

    /// Whether any packet might not find room.
    #[inline]
    fn is_full(&self) -> bool {
        let in_use = self.tail.wrapping_sub(self.head);
        self.ring.len().wrapping_sub(in_use) <= MOST_DESCRIPTORS
    }

    /// Whether something was not reclaimed.
    pub(crate) fn is_sending(&self) -> bool {
        self.head != self.tail
    }

    /// Sends a packet. Unless more come at once, the card is told of all that it was not told of,
    /// and then the second value is true.
    pub(crate) fn send(&mut self, queue: Queue<'_>, packet: SkBuff) -> (Sent, bool) {
        if self.is_full() {
            let told = self.give(queue);
            if self.is_full() {
                self.stop(queue);
                return (Sent::Busy(packet), told);
            }
        }
        let tell = match self.put(packet) {
            Ok(wire) => queue.sent(wire) || self.is_full(),
            Err(_) => {
                queue.device().transmit_dropped();
                true
            }
        };
        let told = tell && self.give(queue);
        if self.is_full() {
            // Whoever reclaims next has the queue's lock as well, and wakes it.
            self.stop(queue);
        }
        (Sent::Taken, told)
    }

    /// Lets no more packets come, until something is reclaimed.
    fn stop(&mut self, queue: Queue<'_>) {
        self.stopped = true;
        queue.stop();
    }

    /// Puts a packet into the ring, or drops it, and says what it will be on the wire.
    fn put(&mut self, packet: SkBuff) -> Result<OnWire> {
        let mut packet = packet.pad().ok_or(ENOMEM)?;
        let offload = packet.offload()?;
        let wire = OnWire::new(&packet, offload);
        let command = command(offload);
        let context = offload
            .map(|offload| context(offload, packet.len()))
            .transpose()?;

        let first = self.tail;
        let mut next = first;
        if let Some((offsets, command)) = context.filter(|_| context != self.context) {
            self.write(next, offsets.into(), command.into())?;
            next = next.wrapping_add(1);
        }
        let mut last = TransmitCommand::zeroed();
        let dev = self.dev;
        let mapped = packet.map(dev, |mapping| {
            let (address, len) = (mapping.address(), mapping.len());
            for begin in (0..len).step_by(PIECE as usize) {
                last = command.try_with_length(u64::from((len - begin).min(PIECE)))?;
                self.write(next, address + u64::from(begin), last.into())?;
                next = next.wrapping_add(1);
            }
            self.slot(next.wrapping_sub(1))?.mapping = Some(mapping);
            Ok(())
        });
        if let Err(error) = mapped {
            // What was mapped so far is unmapped, and then the packet goes; the card has seen none
            // of it.
            while next != first {
                next = next.wrapping_sub(1);
                self.slot(next)?.mapping = None;
            }
            return Err(error);
        }
        let end = next.wrapping_sub(1);
        let last = last.with_end_of_packet(true).with_report_status(true);
        self.ring.set_control(end, last.into());
        packet.timestamp();
        self.slot(end)?.packet = Some(packet);
        self.slot(first)?.last = end;
        self.tail = next;
        self.context = context.or(self.context);
        Ok(wire)
    }

    /// Fills a descriptor that is not in use. Fails with `ENOSPC` if there is none.
    #[inline]
    fn write(&mut self, index: usize, buffer: u64, command: u64) -> Result {
        if index.wrapping_sub(self.head) >= self.ring.len() - 1 {
            return Err(ENOSPC);
        }
        self.ring.fill(index, buffer, command);
        Ok(())
    }

    #[inline]
    fn slot(&mut self, index: usize) -> Result<&mut Slot<'up>> {
        let place = self.ring.place(index);
        self.slots.get_mut(place).ok_or(EINVAL)
    }

    /// Tells the card of what it was not told of, and reclaims; returns whether there was anything.
    fn give(&mut self, queue: Queue<'_>) -> bool {
        let tell = self.given != self.tail;
        if tell {
            self.given = self.tail;
            self.hardware.give_transmit(self.ring.register(self.tail));
        }
        self.reclaim(queue, None);
        tell
    }

    /// Unmaps and frees what was sent, and wakes the queue if there is room again.
    pub(crate) fn reclaim(&mut self, queue: Queue<'_>, poll: Option<&Poll<'_>>) {
        let (mut packets, mut bytes) = (0, 0);
        while let Some(packet) = self.next_done() {
            packets += 1;
            bytes += packet.len();
            packet.consume(poll);
        }
        if packets > 0 {
            queue.completed(packets, bytes);
            if self.stopped && !self.is_full() {
                self.stopped = false;
                queue.wake();
            }
        }
    }

    /// The next packet that the card is done with, no longer mapped.
    fn next_done(&mut self) -> Option<SkBuff> {
        if self.head == self.given {
            return None;
        }
        let last = self.slot(self.head).ok()?.last;
        if !TransmitCommand::from(self.ring.control(last)).done() {
            return None;
        }
        self.release(last)
    }

    /// Takes a packet out of the ring, whose last descriptor is known.
    #[inline]
    fn release(&mut self, last: usize) -> Option<SkBuff> {
        while self.head != last {
            self.slot(self.head).ok()?.mapping = None;
            self.head = self.head.wrapping_add(1);
        }
        self.head = self.head.wrapping_add(1);
        let slot = self.slot(last).ok()?;
        slot.mapping = None;
        slot.packet.take()
    }
}

impl Drop for Transmitter<'_> {
    fn drop(&mut self) {
        // In the order of the ring, so that no packet goes before its memory is unmapped.
        while self.head != self.tail {
            let Ok(&mut Slot { last, .. }) = self.slot(self.head) else {
                return;
            };
            self.release(last);
        }
    }
}

/// What the card is to do with every piece of a packet.
fn command(offload: Option<Offload>) -> TransmitCommand {
    let command = TransmitCommand::zeroed()
        .with_extended(true)
        .with_const_kind::<1>()
        .with_insert_crc(true);
    match offload {
        None => command,
        Some(Offload::Checksum { .. }) => command.with_insert_transport_checksum(true),
        Some(Offload::Segment { .. }) => command
            .with_insert_transport_checksum(true)
            .with_insert_network_checksum(true)
            .with_segment(true),
    }
}
