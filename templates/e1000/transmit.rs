// SPDX-License-Identifier: GPL-2.0

//! Step 6: transmit.
//!
//! The ring has two ends. The stack's packets come in at the [`Transmitter`]: it maps each, writes
//! a descriptor for every piece, and gives them to the card by the tail register. When the card
//! has written a packet's last descriptor back, the [`Reclaimer`] unmaps and frees it. Between the
//! two lies a queue that holds what belongs to each descriptor.

use crate::{
    descriptors::{
        context,
        ContextCommand,
        ContextOffsets,
        TransmitCommand,
        TransmitDescriptor, //
    },
    hardware::Hardware,
    net::{
        queue,
        Consumer,
        Device,
        Mapping,
        Napi,
        Offload,
        OnWire,
        Poll,
        Producer,
        Sent,
        SkBuff, //
    },
};
use kernel::{
    device::{
        self,
        Bound, //
    },
    dma::Coherent,
    io::{
        io_read,
        io_write, //
    },
    prelude::*,
    sync::{
        barrier::{
            smp_mb,
            Full, //
        },
        Arc, //
    }, //
};

/// The most bytes that one descriptor may stand for.
///
/// The card begins to fetch a piece when it has room for four segments of it in its packet memory
/// (SDM 3.3.7), so that the pieces must not be too large either.
const PIECE: u32 = 4096;

/// The most descriptors of a packet, and one that keeps the ring's tail from its head: a context,
/// 64 KiB and headers in pieces of that size, and what the linear part and 17 fragments add by
/// being cut for themselves.
const MOST_DESCRIPTORS: usize = 1 + 1 + (65536 / PIECE as usize + 1) + 18;

/// What belongs to a descriptor of the ring.
struct Slot<'up> {
    /// The memory that it stands for. Unmapped before the packet is freed.
    _mapping: Option<Mapping<'up>>,
    /// The packet, at its last descriptor.
    packet: Option<SkBuff>,
    /// The index of the packet's last descriptor, which is the one that the card writes back.
    last: usize,
}

/// The end of the ring where packets come in.
pub(crate) struct Transmitter<'up> {
    hardware: &'up Hardware<'up>,
    dev: &'up device::Device<Bound>,
    ring: Arc<Coherent<[TransmitDescriptor]>>,
    slots: Producer<Slot<'up>>,
    /// The context that the card was told of last, which holds until the next.
    context: Option<(ContextOffsets, ContextCommand)>,
    /// The index up to which the card was told of descriptors.
    given: usize,
}

/// The end of the ring where packets go out.
pub(crate) struct Reclaimer<'up> {
    ring: Arc<Coherent<[TransmitDescriptor]>>,
    slots: Consumer<Slot<'up>>,
}

/// Steps 1 and 2: allocates a ring of `len` descriptors, a power of two.
pub(crate) fn ring<'up>(
    hardware: &'up Hardware<'up>,
    dev: &'up device::Device<Bound>,
    len: usize,
) -> Result<(Transmitter<'up>, Reclaimer<'up>)> {
    let ring = Arc::new(
        Coherent::<TransmitDescriptor>::zeroed_slice(dev, len, GFP_KERNEL)?,
        GFP_KERNEL,
    )?;
    let (producer, consumer) = queue(len)?;
    let transmitter = Transmitter {
        hardware,
        dev,
        ring: ring.clone(),
        slots: producer,
        context: None,
        given: 0,
    };
    let reclaimer = Reclaimer {
        ring,
        slots: consumer,
    };
    Ok((transmitter, reclaimer))
}

impl<'up> Transmitter<'up> {
    /// Step 3: tells the card of the ring.
    pub(crate) fn start(&self) {
        self.hardware
            .start_transmit(self.ring.dma_address(), self.ring.size() as u32);
    }

    /// Sends a packet. Unless there are `more`, the card is told of all that it was not told of,
    /// and a poll is asked for, since it may be done very soon.
    pub(crate) fn send(&mut self, dev: &Device, napi: &Napi, packet: SkBuff, more: bool) -> Sent {
        if self.stop_if_full(dev) {
            self.give(napi);
            return Sent::Busy(packet);
        }
        let tell = match self.put(packet) {
            Ok(wire) => {
                let tell = dev.sent(wire, more);
                self.stop_if_full(dev) || tell
            }
            Err(_) => {
                dev.transmit_dropped();
                !more
            }
        };
        if tell {
            self.give(napi);
        }
        Sent::Taken
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
        let new_context = context.filter(|_| context != self.context);

        let first = self.slots.tail();
        let pieces = packet.pieces().map(|len| len.div_ceil(PIECE) as usize);
        let count = pieces.sum::<usize>() + usize::from(new_context.is_some());
        let mut writer = Writer {
            ring: &self.ring,
            slots: &mut self.slots,
            next: first,
            last: first.wrapping_add(count).wrapping_sub(1),
        };
        if let Some((offsets, command)) = new_context {
            writer.write(offsets.into(), command.into(), None, None)?;
        }
        // A piece is written when the next is known, for the last is written otherwise.
        let mut piece: Option<(u64, TransmitCommand, Option<Mapping<'up>>)> = None;
        let mapped = packet.map(self.dev, |mapping| {
            let (address, len) = (mapping.address(), mapping.len());
            let mut mapping = Some(mapping);
            for begin in (0..len).step_by(PIECE as usize) {
                let bytes = (len - begin).min(PIECE);
                let mapping = mapping.take_if(|_| begin + bytes == len);
                let command = command.try_with_length(u64::from(bytes))?;
                if let Some((address, command, mapping)) =
                    piece.replace((address + u64::from(begin), command, mapping))
                {
                    writer.write(address, command.into(), mapping, None)?;
                }
            }
            Ok(())
        });
        let written = mapped.and_then(|()| {
            let (address, command, mapping) = piece.take().ok_or(EINVAL)?;
            let command = command.with_end_of_packet(true).with_report_status(true);
            packet.timestamp();
            writer.write(address, command.into(), mapping, Some(packet))
        });
        if let Err(error) = written {
            // What was mapped so far is unmapped; the card has seen none of it.
            self.slots.abort();
            return Err(error);
        }
        self.slots.commit();
        self.context = context.or(self.context);
        Ok(wire)
    }

    /// Stops the queue if the ring could not take any packet; returns whether it did.
    fn stop_if_full(&self, dev: &Device) -> bool {
        if self.slots.room() > MOST_DESCRIPTORS {
            return false;
        }
        dev.stop_queue();
        // The reclaimer makes room, then looks whether the queue is stopped; we do it the other
        // way round, with the same barrier between the two.
        smp_mb(Full);
        if self.slots.room() > MOST_DESCRIPTORS {
            dev.start_queue();
            return false;
        }
        true
    }

    /// Tells the card of what it was not told of.
    fn give(&mut self, napi: &Napi) {
        let tail = self.slots.tail();
        if tail != self.given {
            self.given = tail;
            // CAST: The ring has at most `MOST` descriptors.
            self.hardware
                .give_transmit((tail & (self.ring.len() - 1)) as u16);
            napi.schedule(|| {});
        }
    }
}

/// The descriptors of one packet, being written.
struct Writer<'a, 'up> {
    ring: &'a Coherent<[TransmitDescriptor]>,
    slots: &'a mut Producer<Slot<'up>>,
    next: usize,
    last: usize,
}

impl<'up> Writer<'_, 'up> {
    fn write(
        &mut self,
        buffer: u64,
        command: u64,
        mapping: Option<Mapping<'up>>,
        packet: Option<SkBuff>,
    ) -> Result {
        self.slots.stage(Slot {
            _mapping: mapping,
            packet,
            last: self.last,
        })?;
        // The ring's length is a power of two, so that the index is in it.
        let index = self.next & (self.ring.len() - 1);
        io_write!(self.ring, [try: index].buffer, buffer);
        io_write!(self.ring, [try: index].command, command);
        self.next = self.next.wrapping_add(1);
        Ok(())
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

impl Reclaimer<'_> {
    /// Unmaps and frees what was sent, and wakes the queue if there is room again. Returns whether
    /// the card is still to send something.
    pub(crate) fn reclaim(&mut self, dev: &Device, poll: &Poll<'_>) -> bool {
        let (mut packets, mut bytes) = (0, 0);
        while let Some(slot) = self.slots.peek() {
            if !self.is_done(slot.last) {
                break;
            }
            let Some(slot) = self.slots.pop() else {
                break;
            };
            let Slot {
                _mapping, packet, ..
            } = slot;
            drop(_mapping);
            if let Some(packet) = packet {
                packets += 1;
                bytes += packet.len();
                packet.consume(poll);
            }
        }
        if packets > 0 {
            dev.completed(packets, bytes);
            // See `stop_if_full`.
            smp_mb(Full);
            if dev.queue_stopped() && self.slots.room() > 2 * MOST_DESCRIPTORS {
                dev.wake_queue();
            }
        }
        !self.slots.is_empty()
    }

    fn is_done(&self, index: usize) -> bool {
        let index = index & (self.ring.len() - 1);
        TransmitCommand::from(io_read!(self.ring, [panic: index].command)).done()
    }
}
