// SPDX-License-Identifier: GPL-2.0

//! A network device, as far as every driver may use it.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use super::{
    bindings,
    driver::Features,
    offload::OnWire, //
};
use kernel::types::Opaque;

/// A MAC address.
pub(crate) type MacAddress = [u8; 6];

/// A network device.
///
/// # Invariants
///
/// It is a valid `struct net_device`.
#[repr(transparent)]
pub(crate) struct Device(Opaque<bindings::net_device>);

// SAFETY: The methods may be called on any CPU.
unsafe impl Sync for Device {}

impl Device {
    /// # Safety
    ///
    /// `dev` is valid for as long as the reference is used.
    pub(super) unsafe fn from_raw<'a>(dev: *mut bindings::net_device) -> &'a Self {
        // SAFETY: `Device` is a transparent wrapper.
        unsafe { &*dev.cast() }
    }

    pub(super) fn as_raw(&self) -> *mut bindings::net_device {
        self.0.get()
    }

    /// The largest payload of a packet, in bytes.
    pub(crate) fn mtu(&self) -> u32 {
        // SAFETY: By the type's invariants. C changes it under a lock, and reads it without.
        unsafe { (&raw const (*self.as_raw()).mtu).read_volatile() }
    }

    /// The interface's own address.
    pub(crate) fn address(&self) -> MacAddress {
        // SAFETY: By the type's invariants; an Ethernet device's address has six bytes.
        unsafe { *(*self.as_raw()).dev_addr.cast() }
    }

    /// The features that are switched on.
    pub(crate) fn features(&self) -> Features {
        // SAFETY: By the type's invariants. C changes them under a lock, and reads them without.
        Features(unsafe { (&raw const (*self.as_raw()).features).read_volatile() })
    }

    /// Says that there is a link, or that there is none.
    pub(crate) fn set_carrier(&self, present: bool) {
        // SAFETY: By the type's invariants.
        unsafe {
            if present {
                bindings::netif_carrier_on(self.as_raw())
            } else {
                bindings::netif_carrier_off(self.as_raw())
            }
        }
    }

    /// Whether there is a link, as was said last.
    pub(crate) fn has_carrier(&self) -> bool {
        // SAFETY: By the type's invariants.
        unsafe { bindings::netif_carrier_ok(self.as_raw()) }
    }

    /// Counts a packet that is not sent, although it should be.
    pub(crate) fn transmit_dropped(&self) {
        // SAFETY: By the type's invariants.
        unsafe { bindings::dev_core_stats_tx_dropped_inc(self.as_raw()) };
    }

    /// Counts a packet that is lost for want of memory.
    pub(crate) fn receive_dropped(&self) {
        // SAFETY: By the type's invariants.
        unsafe { bindings::dev_core_stats_rx_dropped_inc(self.as_raw()) };
    }
}

/// The transmit queue of a device that has one, for whoever has its lock.
///
/// # Invariants
///
/// The lock is held, by this CPU.
#[derive(Clone, Copy)]
pub(crate) struct Queue<'a>(&'a Device);

impl<'a> Queue<'a> {
    /// # Safety
    ///
    /// This CPU holds the queue's lock for as long as the value, or a copy of it, is used.
    pub(super) unsafe fn new(dev: &'a Device) -> Self {
        // INVARIANT: As the caller promises.
        Self(dev)
    }

    /// The device.
    pub(crate) fn device(self) -> &'a Device {
        self.0
    }

    /// Lets no more packets come to be sent.
    pub(crate) fn stop(self) {
        // SAFETY: By the type's invariants.
        unsafe { bindings::netif_stop_queue(self.0.as_raw()) };
    }

    /// Lets packets come again, and those that wait.
    pub(crate) fn wake(self) {
        // SAFETY: By the type's invariants.
        unsafe { bindings::netif_wake_queue(self.0.as_raw()) };
    }

    /// Counts a packet that was put into the ring. Returns whether the hardware should be told: if
    /// no more packets come at once, or none can.
    pub(crate) fn sent(self, wire: OnWire) -> bool {
        // SAFETY: By the type's invariants; who has the lock stays on its CPU.
        unsafe {
            bindings::netdev_count_sent(self.0.as_raw(), wire.packets, wire.bytes, wire.in_ring)
        }
    }

    /// Counts packets that the hardware is done with, and their length in the ring.
    pub(crate) fn completed(self, packets: u32, in_ring: u32) {
        // SAFETY: By the type's invariants.
        unsafe { bindings::netdev_completed_queue(self.0.as_raw(), packets, in_ring) };
    }
}
