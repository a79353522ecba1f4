// SPDX-License-Identifier: GPL-2.0

//! What a network device's driver is asked for, and the values that this takes.

use super::{
    bindings,
    device::{
        Device,
        MacAddress,
        Queue, //
    },
    napi::{
        Napi,
        Poll, //
    },
    skb::SkBuff, //
};
use kernel::{
    irq::{
        IrqRequest,
        IrqReturn, //
    },
    prelude::*, //
};

/// What an interface offers to the stack.
#[derive(Clone, Copy)]
pub(crate) struct Features(pub(super) u64);

impl Features {
    /// Packets may lie in several pieces.
    pub(crate) const SCATTER_GATHER: Self = Self(1 << bindings::NETIF_F_SG_BIT);
    /// The hardware computes a checksum from anywhere to anywhere.
    pub(crate) const CHECKSUM: Self = Self(1 << bindings::NETIF_F_HW_CSUM_BIT);
    /// The hardware cuts TCP over IPv4 into segments.
    pub(crate) const SEGMENTATION: Self = Self(1 << bindings::NETIF_F_TSO_BIT);
    /// The hardware looks at the checksums of what it receives.
    pub(crate) const RECEIVE_CHECKSUM: Self = Self(1 << bindings::NETIF_F_RXCSUM_BIT);

    /// These and those.
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of those are among these.
    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What became of a packet that was to be sent.
pub(crate) enum Sent {
    /// It is on its way, or was dropped.
    Taken,
    /// There was no room for it, and the queue is stopped.
    Busy(SkBuff),
}

/// Which packets a device has to receive beside those for its own address and for all.
pub(crate) enum Filter<'a> {
    /// Every one.
    All,
    /// Those for any group.
    AllGroups,
    /// Those for these groups.
    Groups(Groups<'a>),
}

/// The groups that an interface has joined.
///
/// # Invariants
///
/// Their list is locked.
pub(crate) struct Groups<'a>(&'a Device);

impl<'a> Groups<'a> {
    /// # Safety
    ///
    /// The lock of the device's addresses is held for as long as the value is used.
    pub(super) unsafe fn new(dev: &'a Device) -> Self {
        // INVARIANT: As the caller promises.
        Self(dev)
    }

    /// Calls a function with each address.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&MacAddress)) {
        let list = self.0.as_raw();
        // SAFETY: The device is valid, and the list is locked by the type's invariants. Its members
        // are the `list` of a `struct netdev_hw_addr`, up to the list's own head.
        unsafe {
            let head = &raw mut (*list).mc.list;
            let mut entry = (*head).next;
            while entry != head {
                let address = kernel::container_of!(entry, bindings::netdev_hw_addr, list);
                each(&*(&raw const (*address).addr).cast::<MacAddress>());
                entry = (*entry).next;
            }
        }
    }
}

/// Speed and duplex of a link.
pub(crate) struct Link {
    /// In megabits a second.
    pub(crate) speed: u32,
    /// Whether both sides may send at once.
    pub(crate) full_duplex: bool,
}

/// How many descriptors the rings have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RingSizes {
    /// For what is received.
    pub(crate) receive: u32,
    /// For what is sent.
    pub(crate) transmit: u32,
}

/// Packets that the hardware could not receive, and so on: what only it can count.
#[derive(Clone, Copy, Default)]
pub(crate) struct Errors {
    /// Frames with a bad checksum.
    pub(crate) crc: u64,
    /// Frames of a bad length.
    pub(crate) length: u64,
    /// Frames that there was no buffer for.
    pub(crate) missed: u64,
    /// Other errors of receiving.
    pub(crate) receive: u64,
    /// Errors of sending.
    pub(crate) transmit: u64,
    /// Collisions.
    pub(crate) collisions: u64,
}

/// A driver of a network device. It is dropped when the device is unregistered.
///
/// While the interface is up, the callbacks come in this order: `open`; `start`; `begin`, which any
/// of `transmit`, `reclaim`, `poll` and `rearm` may precede, and then these; `halt`. The line may
/// be another device's as well, so that `interrupt` may come from the end of `open` until after
/// `halt`. The layer itself takes the interface down and up again where a change needs it.
pub(crate) trait Driver: Send + Sync + Sized {
    /// The driver's name, for `/proc/interrupts`.
    const NAME: &'static CStr;

    /// What the driver needs to send.
    type Transmitter<'up>: Send
    where
        Self: 'up;

    /// What it needs to receive.
    type Receiver<'up>: Send
    where
        Self: 'up;

    /// The device's interrupt.
    fn interrupt_line(&self) -> Result<IrqRequest<'_>>;

    /// Allocates what the interface needs to be up. The hardware is at rest, and stays so.
    fn open<'up>(&'up self, dev: &Device) -> Result<(Self::Transmitter<'up>, Self::Receiver<'up>)>;

    /// Lets the hardware work with what `open` has made; it does not interrupt yet.
    fn start(
        &self,
        dev: &Device,
        transmitter: &mut Self::Transmitter<'_>,
        receiver: &mut Self::Receiver<'_>,
    );

    /// Lets the hardware interrupt for the first time.
    fn begin(&self);

    /// Stops the hardware: when this returns, it neither reads nor writes memory, and does not
    /// interrupt.
    fn halt(&self);

    /// Handles an interrupt, which may be another device's.
    fn interrupt(&self, napi: &Napi) -> IrqReturn;

    /// Sends a packet.
    fn transmit(
        &self,
        queue: Queue<'_>,
        napi: &Napi,
        transmitter: &mut Self::Transmitter<'_>,
        packet: SkBuff,
    ) -> Sent;

    /// Whether something was given to the hardware that [`Self::reclaim`] has not seen done.
    fn is_sending(&self) -> bool;

    /// Cleans up behind what was sent, in a poll, and returns what [`Self::is_sending`] is then.
    fn reclaim(
        &self,
        queue: Queue<'_>,
        transmitter: &mut Self::Transmitter<'_>,
        poll: &Poll<'_>,
    ) -> bool;

    /// Receives up to `poll.budget()` packets and returns their number. Returning the whole budget
    /// says that there are more.
    fn poll(&self, dev: &Device, receiver: &mut Self::Receiver<'_>, poll: &Poll<'_>) -> u32;

    /// Lets the hardware interrupt after the last poll. That has found it to be `sending` or not;
    /// when it begins to send later, there is another poll.
    fn rearm(&self, sending: bool);

    /// Says why nothing was sent for so long; the layer then takes the interface down and up.
    fn transmit_timed_out(&self, dev: &Device);

    /// Changes what is received.
    fn set_filter(&self, filter: Filter<'_>);

    /// Changes the interface's own address.
    fn set_address(&self, address: &MacAddress);

    /// Changes the offloads that the stack has switched on.
    fn set_features(&self, features: Features);

    /// What the hardware has counted so far.
    fn errors(&self) -> Errors;

    /// The link as the hardware sees it; [`None`] without one.
    fn link(&self) -> Option<Link>;

    /// The rings' sizes, of now or of the next time that the interface comes up.
    fn ring_sizes(&self) -> RingSizes;

    /// The most that [`Self::set_ring_sizes`] takes.
    fn largest_rings(&self) -> RingSizes;

    /// Takes the sizes for the next time that the interface comes up, rounded to what the hardware
    /// can do.
    fn set_ring_sizes(&self, sizes: RingSizes);
}
