// SPDX-License-Identifier: GPL-2.0

//! An interface, and what there is only while it is up.

use super::{
    bindings,
    device::Device,
    driver::{
        Driver,
        Filter,
        Groups, //
    },
    napi::Napi, //
};
use core::cell::UnsafeCell;
use kernel::{
    irq::{
        self,
        IrqReturn, //
    },
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Release, //
    },
    types::Opaque, //
};

/// What the private area of a `struct net_device` holds.
#[repr(C)]
pub(super) struct Private<T: Driver> {
    pub(super) napi: Opaque<bindings::napi_struct>,
    /// Takes the interface down and up when nothing was sent for too long.
    pub(super) restart: Opaque<bindings::work_struct>,
    /// An [`Up`] while the interface is up, else null. Stored with the lock of the device's
    /// addresses held, so that who has that lock knows whether the hardware may be used.
    pub(super) up: Atomic<*mut c_void>,
    pub(super) driver: T,
}

/// What there is while the interface is up.
pub(super) struct Up<'up, T: Driver> {
    /// The first to be dropped.
    _line: Pin<KBox<irq::Registration<'up, Line<'up, T>>>>,
    /// Of whoever has the lock of the transmit queue.
    pub(super) transmitter: UnsafeCell<T::Transmitter<'up>>,
    /// Of the poll.
    pub(super) receiver: UnsafeCell<T::Receiver<'up>>,
}

/// What handles the interrupt.
struct Line<'up, T: Driver> {
    napi: &'up Napi,
    driver: &'up T,
}

// SAFETY: `Napi` may be scheduled on any CPU, and `T` is `Sync`.
unsafe impl<T: Driver> Sync for Line<'_, T> {}

impl<T: Driver> irq::Handler for Line<'_, T> {
    fn handle(&self) -> IrqReturn {
        self.driver.interrupt(self.napi)
    }
}

/// A device, and the driver's part of it.
///
/// # Safety
///
/// A [`Registration`](super::Registration) of `T` owns the device.
pub(super) unsafe fn parts<'a, T: Driver + 'a>(
    dev: *mut bindings::net_device,
) -> (&'a Device, &'a Private<T>) {
    // SAFETY: As the caller promises.
    unsafe { (Device::from_raw(dev), &*(&raw const (*dev).priv_).cast()) }
}

impl<T: Driver> Private<T> {
    pub(super) fn napi(&self) -> &Napi {
        // SAFETY: `Napi` is a transparent wrapper.
        unsafe { &*self.napi.get().cast() }
    }

    /// The [`Up`], or null. Whoever uses it has to keep [`Self::down`] from dropping it.
    ///
    /// This is C's `READ_ONCE()`, for each packet, without the call that an [`Atomic`] makes. What
    /// lies behind the pointer is read after it: an address dependency, as
    /// Documentation/memory-barriers.txt has it.
    #[inline]
    pub(super) fn current(&self) -> *mut Up<'_, T> {
        // SAFETY: It is valid, and all others store to it atomically.
        unsafe { self.up.as_ptr().read_volatile() }.cast()
    }

    /// Brings the interface up.
    ///
    /// # Safety
    ///
    /// The RTNL lock is held, the interface is down, and `self` is the private area of `dev`.
    pub(super) unsafe fn up<'up>(&'up self, dev: &Device) -> Result {
        let (transmitter, receiver) = self.driver.open(dev)?;
        let line = Line {
            napi: self.napi(),
            driver: &self.driver,
        };
        let request = self.driver.interrupt_line()?;
        // SAFETY: It is not forgotten: `down` drops it, at the latest when the device is
        // unregistered, and thus before `self`.
        let line =
            unsafe { irq::Registration::new(request, irq::Flags::SHARED, T::NAME, Ok(line)) };
        let mut up = KBox::new(
            Up::<'up, T> {
                _line: KBox::pin_init(line, GFP_KERNEL)?,
                transmitter: UnsafeCell::new(transmitter),
                receiver: UnsafeCell::new(receiver),
            },
            GFP_KERNEL,
        )?;

        let Up {
            transmitter,
            receiver,
            ..
        } = &mut *up;
        self.driver
            .start(dev, transmitter.get_mut(), receiver.get_mut());

        // SAFETY: The device is valid, its addresses are locked for the filter, and NAPI was
        // disabled while the interface was down.
        unsafe {
            bindings::netif_addr_lock_bh(dev.as_raw());
            self.up.store(KBox::into_raw(up).cast(), Release);
            self.set_filter(dev);
            bindings::netif_addr_unlock_bh(dev.as_raw());

            bindings::napi_enable(self.napi.get());
            bindings::netif_trans_update(dev.as_raw());
            // Packets may wait since before a restart.
            bindings::netif_wake_queue(dev.as_raw());
        }
        self.driver.begin();
        Ok(())
    }

    /// Takes the interface down, if it is up.
    ///
    /// # Safety
    ///
    /// The RTNL lock is held, and `self` is the private area of `dev`.
    pub(super) unsafe fn down<'up>(&'up self, dev: &Device) {
        let up = self.up.load(Acquire).cast::<Up<'up, T>>();
        if up.is_null() {
            return;
        }
        // SAFETY: The device is valid, and NAPI was enabled by `up`. From here on no poll runs, so
        // that nobody wakes the queue; then no packet is being sent; and then no filter changed.
        unsafe {
            bindings::napi_disable(self.napi.get());
            // First, so that C's watchdog takes no offence at a queue that is stopped.
            bindings::netif_carrier_off(dev.as_raw());
            bindings::netif_tx_disable(dev.as_raw());

            bindings::netif_addr_lock_bh(dev.as_raw());
            self.up.store(core::ptr::null_mut(), Release);
            bindings::netif_addr_unlock_bh(dev.as_raw());
        }
        self.driver.halt();
        // SAFETY: It comes from `up`, nobody sees it any more, and the hardware is at rest. Its
        // interrupt goes first.
        drop(unsafe { KBox::from_raw(up) });
        // SAFETY: The device is valid, and its queue is stopped.
        unsafe { bindings::netdev_reset_queue(dev.as_raw()) };
    }

    /// Takes the interface down and up, if it is up.
    ///
    /// # Safety
    ///
    /// As for [`Self::down`].
    pub(super) unsafe fn restart(&self, dev: &Device) -> Result {
        if self.up.load(Acquire).is_null() {
            return Ok(());
        }
        // SAFETY: As the caller promises.
        unsafe {
            self.down(dev);
            self.up(dev)
        }
    }

    /// Makes a change that needs the interface to be down, by `change`; if it does not come up
    /// again, undoes the change by `undo`.
    ///
    /// # Safety
    ///
    /// As for [`Self::down`].
    pub(super) unsafe fn change(
        &self,
        dev: &Device,
        change: impl FnOnce(),
        undo: impl FnOnce(),
    ) -> Result {
        change();
        // SAFETY: As the caller promises.
        let result = unsafe { self.restart(dev) };
        if result.is_err() {
            undo();
            // SAFETY: As the caller promises; the interface is down. If it stays so, C has to know.
            unsafe {
                if self.up(dev).is_err() {
                    bindings::dev_close(dev.as_raw());
                }
            }
        }
        result
    }

    /// Tells the driver which packets to receive, if the interface is up.
    ///
    /// # Safety
    ///
    /// The lock of the device's addresses is held, and `self` is the private area of `dev`.
    pub(super) unsafe fn set_filter(&self, dev: &Device) {
        if self.up.load(Acquire).is_null() {
            return;
        }
        // SAFETY: The device is valid.
        let flags = unsafe { (*dev.as_raw()).flags };
        let filter = if flags & bindings::net_device_flags_IFF_PROMISC != 0 {
            Filter::All
        } else if flags & bindings::net_device_flags_IFF_ALLMULTI != 0 {
            Filter::AllGroups
        } else {
            // SAFETY: As the caller promises.
            Filter::Groups(unsafe { Groups::new(dev) })
        };
        self.driver.set_filter(filter);
    }
}
