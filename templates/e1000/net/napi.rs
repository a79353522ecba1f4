// SPDX-License-Identifier: GPL-2.0

//! NAPI: polls, in which packets are received.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use super::{
    bindings,
    device::Device,
    skb::SkBuff, //
};
use core::cell::Cell;
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// What schedules a poll.
///
/// # Invariants
///
/// It is a valid `struct napi_struct`, which was added to its device.
#[repr(transparent)]
pub(crate) struct Napi(Opaque<bindings::napi_struct>);

impl Napi {
    /// Asks for a poll. `mask` is called before it begins; it is not if a poll is due anyway, or
    /// goes on, in which case there will be another.
    pub(crate) fn schedule(&self, mask: impl FnOnce()) {
        // SAFETY: By the type's invariants.
        unsafe {
            if bindings::napi_schedule_prep(self.0.get()) {
                mask();
                bindings::__napi_schedule(self.0.get());
            }
        }
    }

    /// Whether a poll is due, or goes on.
    pub(crate) fn is_scheduled(&self) -> bool {
        // SAFETY: By the type's invariants. Others change the word at any time, and one look at it
        // will do.
        let state = unsafe { (&raw const (*self.0.get()).state).read_volatile() };
        state & (1 << bindings::NAPI_STATE_SCHED) != 0
    }
}

/// A poll that is going on.
///
/// # Invariants
///
/// `napi` is of `dev`, and is being polled with `budget`.
pub(crate) struct Poll<'a> {
    dev: &'a Device,
    napi: *mut bindings::napi_struct,
    budget: c_int,
    /// How many packets, and bytes, were received.
    received: Cell<(u32, u32)>,
}

impl<'a> Poll<'a> {
    /// # Safety
    ///
    /// `napi` is of `dev`, and is being polled with `budget` for as long as the value is used.
    pub(super) unsafe fn new(
        dev: &'a Device,
        napi: *mut bindings::napi_struct,
        budget: c_int,
    ) -> Self {
        // INVARIANT: As the caller promises.
        Self {
            dev,
            napi,
            budget,
            received: Cell::new((0, 0)),
        }
    }

    /// How many packets may be received.
    pub(crate) fn budget(&self) -> u32 {
        // CAST: C's budget is not negative.
        self.budget as u32
    }

    /// A new packet with `len` bytes of room, or null.
    pub(super) fn alloc(&self, len: u32) -> *mut bindings::sk_buff {
        // SAFETY: By the type's invariants.
        unsafe { bindings::napi_alloc_skb(self.napi, len) }
    }

    /// Hands a packet to the stack, which merges it with others if it can. The hardware may have
    /// `checked` that its checksums are right.
    pub(crate) fn receive(&self, packet: SkBuff, checked: bool) {
        let (packets, bytes) = self.received.get();
        self.received.set((packets + 1, bytes + packet.len()));
        // SAFETY: The packet was ours; the rest by the type's invariants.
        unsafe { bindings::napi_receive(self.napi, packet.into_raw(), checked) };
    }
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        let (packets, bytes) = self.received.get();
        if packets > 0 {
            // SAFETY: The device is valid, and a poll stays on its CPU.
            unsafe { bindings::netdev_count_received(self.dev.as_raw(), packets, bytes) };
        }
    }
}
