// SPDX-License-Identifier: GPL-2.0

//! Step 5: receive.
//!
//! Every descriptor of the ring always has a buffer. When the card has written a packet to it, the
//! packet goes up, and a new buffer takes its place; if there is no memory for one, the packet is
//! dropped and its buffer stays. So the card never runs out of buffers for good.
//!
//! A packet that is longer than a buffer is written to several, which become one packet's pieces:
//! no buffer needs more than a page.

use crate::{
    descriptors::ReceiveStatus,
    hardware::Hardware,
    net::{
        Device,
        Poll,
        ReceiveBuffer,
        SkBuff, //
    },
    ring::Ring, //
};
use kernel::{
    device::{
        self,
        Bound, //
    },
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        barrier::{
            dma_mb,
            Read, //
        },
        Arc, //
    }, //
};

/// The length of an Ethernet header, in bytes.
const HEADER: u32 = 14;

/// How many descriptors the card gets back at once, of 128 or more. To tell it is an access to a
/// register, for which QEMU wakes its main loop too, and that holds up the accesses that follow.
const GIVEN: usize = 16;

/// Packets up to this length, in bytes, are copied, which costs less than a new buffer.
const COPIED: u32 = 256;

/// What both ways of packets see of the ring: whether something has come.
pub(crate) struct Incoming {
    ring: Ring,
    /// The descriptor that is looked at next.
    next: Atomic<usize>,
}

impl Incoming {
    /// Whether a packet waits for being received.
    pub(crate) fn is_ready(&self) -> bool {
        self.status(self.next.load(Relaxed)).done()
    }

    fn status(&self, index: usize) -> ReceiveStatus {
        self.ring.control(index).into()
    }
}

/// The ring for receiving.
pub(crate) struct Receiver<'up> {
    incoming: Arc<Incoming>,
    /// What `incoming` has as the next.
    next: usize,
    /// What was the next when the card was told of the descriptors that it has.
    told: usize,
    buffers: KVec<ReceiveBuffer<'up>>,
    hardware: &'up Hardware<'up>,
    dev: &'up device::Device<Bound>,
    /// The room of a buffer, in bytes.
    room: u32,
    /// A packet of which the rest is to come.
    begun: Option<SkBuff>,
    /// The rest of a packet is to come that is dropped.
    skipping: bool,
}

impl<'up> Receiver<'up> {
    /// Steps 1 and 2: allocates a ring of `len` descriptors, and their buffers, for frames of up to
    /// `frame` bytes, their checksum included.
    pub(crate) fn new(
        hardware: &'up Hardware<'up>,
        dev: &'up device::Device<Bound>,
        len: usize,
        frame: u32,
    ) -> Result<Self> {
        // Unless it takes longer ones, the card writes no more than a frame of Ethernet.
        let room = if frame > Hardware::FRAME {
            Hardware::BUFFER
        } else {
            Hardware::FRAME.next_multiple_of(64)
        };
        let ring = Ring::new(dev, len)?;
        let mut buffers = KVec::with_capacity(len, GFP_KERNEL)?;
        for index in 0..len {
            let buffer = ReceiveBuffer::new(dev, None, room)?;
            ring.fill(index, buffer.address(), 0);
            buffers.push(buffer, GFP_KERNEL)?;
        }
        let incoming = Incoming {
            ring,
            next: Atomic::new(0),
        };
        Ok(Self {
            incoming: Arc::new(incoming, GFP_KERNEL)?,
            next: 0,
            told: 0,
            buffers,
            hardware,
            dev,
            room,
            begun: None,
            skipping: false,
        })
    }

    /// What the other way of packets is to see.
    pub(crate) fn incoming(&self) -> Arc<Incoming> {
        self.incoming.clone()
    }

    /// Step 3: tells the card of the ring, and gives it all descriptors but one: if it had all, it
    /// would take the ring to be empty.
    pub(crate) fn start(&self) {
        let ring = &self.incoming.ring;
        let long = self.room == Hardware::BUFFER;
        self.hardware
            .start_receive(ring.address(), ring.bytes(), long);
        self.give(0);
    }

    /// Gives the card all descriptors but the one before `next`, which is the next that it is done
    /// with.
    fn give(&self, next: usize) {
        let last = self.incoming.ring.register(next.wrapping_sub(1));
        self.hardware.give_receive(last);
    }

    /// Hands up to `poll.budget()` packets to the stack and returns their number, with those that
    /// were dropped.
    pub(crate) fn receive(&mut self, dev: &Device, poll: &Poll<'_>) -> u32 {
        let mut received = 0;
        let mut index = self.next;
        while received < poll.budget() {
            let status = self.incoming.status(index);
            if !status.done() {
                break;
            }
            // What the card wrote before this status is read after it.
            dma_mb(Read);
            match self.take(index, status, poll) {
                Ok(Some(packet)) => poll.receive(packet, status.checksums_are_right()),
                Ok(None) => {}
                Err(_) => dev.receive_dropped(),
            }
            received += 1;
            index = index.wrapping_add(1);
        }
        if received > 0 {
            self.next = index;
            self.incoming.next.store(index, Relaxed);
            if index.wrapping_sub(self.told) >= GIVEN {
                self.told = index;
                self.give(index);
            }
        }
        received
    }

    /// The packet that ends at a descriptor, if one does, and the descriptor is the card's again.
    fn take(
        &mut self,
        index: usize,
        status: ReceiveStatus,
        poll: &Poll<'_>,
    ) -> Result<Option<SkBuff>> {
        let packet = self.packet(index, status, poll);
        let ring = &self.incoming.ring;
        let buffer = self.buffers.get(ring.place(index)).ok_or(EINVAL)?;
        ring.fill(index, buffer.address(), 0);
        packet
    }

    /// The packet that ends at a descriptor. Of one that is dropped, only one descriptor fails.
    fn packet(
        &mut self,
        index: usize,
        status: ReceiveStatus,
        poll: &Poll<'_>,
    ) -> Result<Option<SkBuff>> {
        let more = !status.end_of_packet();
        if self.skipping {
            self.skipping = more;
            return Ok(None);
        }
        let packet = self.piece(index, status, poll);
        if !more {
            return packet.map(Some);
        }
        self.skipping = packet.is_err();
        self.begun = Some(packet?);
        Ok(None)
    }

    /// The packet so far, with what lies at a descriptor.
    fn piece(&mut self, index: usize, status: ReceiveStatus, poll: &Poll<'_>) -> Result<SkBuff> {
        let begun = self.begun.take();
        let len = u32::from(status.length().cast::<u16>().get());
        let whole = begun.is_none() && status.end_of_packet();
        // What is wrong with a packet is known at its end.
        let wrong = status.frame_errors() != 0 || status.data_error();
        if status.end_of_packet() && wrong || whole && len < HEADER {
            return Err(EIO);
        }
        let place = self.incoming.ring.place(index);
        let buffer = self.buffers.get_mut(place).ok_or(EINVAL)?;
        if whole && len <= COPIED {
            return buffer.copy_packet(poll, len);
        }
        let new = ReceiveBuffer::new(self.dev, Some(poll), self.room)?;
        let written = core::mem::replace(buffer, new);
        match begun {
            None => written.into_packet(poll, len),
            Some(packet) => written.append_to(packet, len),
        }
    }
}
