// SPDX-License-Identifier: GPL-2.0

//! A network device from its registration to its end.

use super::{
    bindings,
    callbacks::Callbacks,
    device::{
        Device,
        MacAddress, //
    },
    dma,
    driver::{
        Driver,
        Features, //
    },
    ethtool,
    interface::Private, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    device::{
        self,
        Bound, //
    },
    error::to_result,
    prelude::*,
    sync::atomic::Atomic, //
};

/// What a device has when it is registered.
pub(crate) struct Setup {
    /// Its own address.
    pub(crate) address: MacAddress,
    /// What the hardware can do; all of it is switched on.
    pub(crate) features: Features,
    /// The largest MTU in bytes.
    pub(crate) max_mtu: u32,
}

/// A network device that is registered; dropping it takes it down and unregisters it.
///
/// # Invariants
///
/// `dev` is registered, and its private area holds a valid `Private<T>`.
pub(crate) struct Registration<'bound, T: Driver + 'bound> {
    dev: NonNull<bindings::net_device>,
    _owns: PhantomData<(&'bound Device, T)>,
}

// SAFETY: A device may be unregistered on any CPU.
unsafe impl<T: Driver> Send for Registration<'_, T> {}

/// A device that was allocated; dropping it frees it.
struct Allocated(NonNull<bindings::net_device>);

impl Drop for Allocated {
    fn drop(&mut self) {
        // SAFETY: It was allocated, is not registered, and nobody else knows of it.
        unsafe { bindings::free_netdev(self.0.as_ptr()) };
    }
}

impl<'bound, T: Driver + 'bound> Registration<'bound, T> {
    /// Registers an Ethernet device with one queue, below the device that carries it.
    ///
    /// # Safety
    ///
    /// The registration must be dropped, and not forgotten by `mem::forget()` or in any other way:
    /// what the driver borrows from its device is gone when that is unbound.
    pub(crate) unsafe fn new(
        parent: &'bound device::Device<Bound>,
        setup: Setup,
        driver: T,
    ) -> Result<Self> {
        const {
            // C aligns the private area to a cache line, which is that long at least.
            assert!(align_of::<Private<T>>() <= 32);
        }
        let size = c_int::try_from(size_of::<Private<T>>())?;
        // SAFETY: It only allocates.
        let dev = unsafe { bindings::alloc_etherdev_mqs(size, 1, 1) };
        let dev = NonNull::new(dev).ok_or(ENOMEM)?;
        let allocated = Allocated(dev);
        let dev = dev.as_ptr();

        // SAFETY: The device is ours alone until it is registered, and its private area is zeroed,
        // aligned for any type, and as large as a `Private<T>`.
        let private = unsafe {
            let private = (&raw mut (*dev).priv_).cast::<Private<T>>();
            (&raw mut (*private).up).write(Atomic::new(core::ptr::null_mut()));
            (&raw mut (*private).driver).write(driver);

            bindings::SET_NETDEV_DEV(dev, dma::as_raw(parent));
            bindings::netdev_use_tstats(dev);
            bindings::netdev_allow_live_address_change(dev);
            bindings::netdev_refuse_shared_packets(dev); // A packet has one owner.
            bindings::eth_hw_addr_set(dev, setup.address.as_ptr());
            (*dev).netdev_ops = &Callbacks::<T>::OPS;
            (*dev).ethtool_ops = ethtool::ops::<T>();
            (*dev).hw_features = setup.features.0;
            (*dev).vlan_features = setup.features.0;
            (*dev).features |= setup.features.0;
            (*dev).max_mtu = setup.max_mtu;
            bindings::netif_napi_add(dev, (*private).napi.get(), Some(Callbacks::<T>::poll));
            bindings::INIT_WORK((*private).restart.get(), Some(Callbacks::<T>::restart));
            bindings::netif_carrier_off(dev);
            private
        };

        // SAFETY: The device has all that it needs.
        if let Err(error) = to_result(unsafe { bindings::register_netdev(dev) }) {
            // SAFETY: `driver` was written above, and nobody uses it.
            unsafe { core::ptr::drop_in_place(&raw mut (*private).driver) };
            return Err(error);
        }
        core::mem::forget(allocated);
        // INVARIANT: As was done above.
        Ok(Self {
            dev: NonNull::new(dev).ok_or(EINVAL)?,
            _owns: PhantomData,
        })
    }
}

impl<T: Driver> Drop for Registration<'_, T> {
    fn drop(&mut self) {
        let _allocated = Allocated(self.dev);
        let dev = self.dev.as_ptr();

        // SAFETY: By the type's invariants. Unregistering takes the device down; then the work
        // finds nothing to do, nobody schedules it again, and nobody else uses the driver.
        unsafe {
            bindings::unregister_netdev(dev);
            let private = (&raw mut (*dev).priv_).cast::<Private<T>>();
            bindings::cancel_work_sync((*private).restart.get());
            core::ptr::drop_in_place(&raw mut (*private).driver);
        }
    }
}
