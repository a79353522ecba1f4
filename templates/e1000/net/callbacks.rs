// SPDX-License-Identifier: GPL-2.0

//! What C calls: `struct net_device_ops`, NAPI's poll, and a work.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use super::{
    bindings,
    device::Queue,
    driver::{
        Driver,
        Features,
        Sent, //
    },
    interface::{
        parts,
        Private, //
    },
    napi::Poll,
    skb::SkBuff, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::{
        from_result,
        to_result, //
    },
    prelude::*,
    types::Opaque, //
};

/// The callbacks.
///
/// # Safety
///
/// Each is called with a device that a [`Registration`](super::Registration) of `T` owns, and with
/// the locks held that include/linux/netdevice.h and Documentation/networking/netdevices.rst name.
pub(super) struct Callbacks<T>(PhantomData<T>);

impl<T: Driver> Callbacks<T> {
    pub(super) const OPS: bindings::net_device_ops = bindings::net_device_ops {
        ndo_open: Some(Self::open),
        ndo_stop: Some(Self::stop),
        ndo_start_xmit: Some(Self::start_xmit),
        ndo_set_rx_mode: Some(Self::set_rx_mode),
        ndo_set_mac_address: Some(Self::set_mac_address),
        ndo_validate_addr: Some(bindings::eth_validate_addr),
        ndo_change_mtu: Some(Self::change_mtu),
        ndo_tx_timeout: Some(Self::tx_timeout),
        ndo_get_stats64: Some(Self::get_stats64),
        ndo_set_features: Some(Self::set_features),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// See [`Callbacks`].
    unsafe extern "C" fn open(dev: *mut bindings::net_device) -> c_int {
        // SAFETY: See [`Callbacks`]; it is down, and RTNL is held.
        from_result(|| unsafe {
            let (dev, private) = parts::<T>(dev);
            private.up(dev).map(|()| 0)
        })
    }

    /// # Safety
    ///
    /// See [`Callbacks`].
    unsafe extern "C" fn stop(dev: *mut bindings::net_device) -> c_int {
        // SAFETY: See [`Callbacks`]; RTNL is held.
        unsafe {
            let (dev, private) = parts::<T>(dev);
            private.down(dev);
        }
        0
    }

    /// # Safety
    ///
    /// See [`Callbacks`].
    unsafe extern "C" fn start_xmit(
        skb: *mut bindings::sk_buff,
        dev: *mut bindings::net_device,
    ) -> bindings::netdev_tx_t {
        // SAFETY: See [`Callbacks`].
        let (dev, private) = unsafe { parts::<T>(dev) };
        // SAFETY: C gives us the packet.
        let packet = unsafe { SkBuff::from_raw(NonNull::new_unchecked(skb)) };
        let up = private.current();
        if up.is_null() {
            dev.transmit_dropped();
            return bindings::netdev_tx_NETDEV_TX_OK;
        }
        // SAFETY: `up` is there until after `netif_tx_disable` in `down`, which waits for us; and
        // the lock of the one queue is held, so that nobody else has the transmitter.
        let (queue, transmitter) = unsafe { (Queue::new(dev), &mut *(*up).transmitter.get()) };
        match private
            .driver
            .transmit(queue, private.napi(), transmitter, packet)
        {
            Sent::Taken => bindings::netdev_tx_NETDEV_TX_OK,
            Sent::Busy(packet) if packet.as_ptr() == skb => {
                packet.into_raw(); // C keeps it.
                bindings::netdev_tx_NETDEV_TX_BUSY
            }
            // It is another packet, and so the driver has kept this one.
            Sent::Busy(_) => bindings::netdev_tx_NETDEV_TX_OK,
        }
    }

    /// # Safety
    ///
    /// See [`Callbacks`].
    pub(super) unsafe extern "C" fn poll(napi: *mut bindings::napi_struct, budget: c_int) -> c_int {
        // SAFETY: `napi` was added to a device that a registration of `T` owns.
        let (dev, private) = unsafe { parts::<T>((*napi).dev) };
        let up = private.current();
        // SAFETY: C polls this `struct napi_struct`, with this budget.
        let poll = unsafe { Poll::new(dev, napi, budget) };

        // Who has the queue's lock has the transmitter. If somebody else does, he may have looked
        // just before the hardware was done, and so this poll is not the last.
        let (mut last, mut sending) = (true, private.driver.is_sending());
        if sending {
            // SAFETY: `up` is there from before `napi_enable` until after `napi_disable`, which
            // waits for us.
            unsafe {
                last = bindings::netdev_trylock_queue(dev.as_raw());
                if last {
                    let (queue, transmitter) = (Queue::new(dev), &mut *(*up).transmitter.get());
                    sending = private.driver.reclaim(queue, transmitter, &poll);
                    bindings::netdev_unlock_queue(dev.as_raw());
                }
            }
        }
        // SAFETY: As above; and one poll runs at a time, so that nobody else has the receiver.
        let receiver = unsafe { &mut *(*up).receiver.get() };
        // CAST: It is at most the budget.
        let done = private.driver.poll(dev, receiver, &poll) as c_int;
        drop(poll);
        if !last || done >= budget {
            return budget;
        }
        // SAFETY: We are in the poll of `napi`.
        if unsafe { bindings::napi_complete_done(napi, done) } {
            private.driver.rearm(sending);
        }
        done
    }

    /// # Safety
    ///
    /// See [`Callbacks`].
    unsafe extern "C" fn set_rx_mode(dev: *mut bindings::net_device) {
        // SAFETY: See [`Callbacks`]; the device's addresses are locked.
        unsafe {
            let (dev, private) = parts::<T>(dev);
            private.set_filter(dev);
        }
    }

    /// # Safety
    ///
    /// See [`Callbacks`].
    unsafe extern "C" fn set_mac_address(
        dev: *mut bindings::net_device,
        address: *mut c_void,
    ) -> c_int {
        // SAFETY: See [`Callbacks`]; RTNL is held, and `address` is a `struct sockaddr`.
        from_result(|| unsafe {
            to_result(bindings::eth_prepare_mac_addr_change(dev, address))?;
            bindings::eth_commit_mac_addr_change(dev, address);
            let (dev, private) = parts::<T>(dev);
            private.driver.set_address(&dev.address());
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// See [`Callbacks`].
    unsafe extern "C" fn change_mtu(dev: *mut bindings::net_device, mtu: c_int) -> c_int {
        // SAFETY: See [`Callbacks`]; RTNL is held, and `mtu` is within the device's bounds.
        from_result(|| unsafe {
            let (dev, private) = parts::<T>(dev);
            let field = &raw mut (*dev.as_raw()).mtu;
            let old = field.read_volatile();
            private.change(
                dev,
                || field.write_volatile(mtu as u32),
                || field.write_volatile(old),
            )?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// See [`Callbacks`].
    unsafe extern "C" fn tx_timeout(dev: *mut bindings::net_device, _queue: c_uint) {
        // SAFETY: See [`Callbacks`]. The work is cancelled before the device goes.
        unsafe {
            let (dev, private) = parts::<T>(dev);
            private.driver.transmit_timed_out(dev);
            bindings::schedule_work(private.restart.get());
        }
    }

    /// # Safety
    ///
    /// See [`Callbacks`].
    pub(super) unsafe extern "C" fn restart(work: *mut bindings::work_struct) {
        // SAFETY: `work` is the `restart` of a private area, whose device is there until the work
        // was cancelled. The device's unregistering takes it down first, under RTNL.
        unsafe {
            let private = kernel::container_of!(Opaque::cast_from(work), Private<T>, restart);
            let dev = (*(*private).napi.get()).dev;
            let (dev, private) = parts::<T>(dev);
            bindings::rtnl_lock();
            if bindings::netif_running(dev.as_raw()) && private.restart(dev).is_err() {
                bindings::dev_close(dev.as_raw());
            }
            bindings::rtnl_unlock();
        }
    }

    /// # Safety
    ///
    /// See [`Callbacks`].
    unsafe extern "C" fn get_stats64(
        dev: *mut bindings::net_device,
        stats: *mut bindings::rtnl_link_stats64,
    ) {
        // SAFETY: See [`Callbacks`]; `stats` is ours to fill.
        unsafe {
            let (dev, private) = parts::<T>(dev);
            bindings::dev_get_tstats64(dev.as_raw(), stats);
            let errors = private.driver.errors();
            (*stats).rx_crc_errors = errors.crc;
            (*stats).rx_length_errors = errors.length;
            (*stats).rx_missed_errors = errors.missed;
            (*stats).rx_errors = errors.crc + errors.length + errors.receive;
            (*stats).tx_errors = errors.transmit;
            (*stats).collisions = errors.collisions;
        }
    }

    /// # Safety
    ///
    /// See [`Callbacks`].
    unsafe extern "C" fn set_features(dev: *mut bindings::net_device, features: u64) -> c_int {
        // SAFETY: See [`Callbacks`].
        let (_, private) = unsafe { parts::<T>(dev) };
        private.driver.set_features(Features(features));
        0
    }
}
