// SPDX-License-Identifier: GPL-2.0

//! What `ethtool` asks for. The driver's name and its bus address the core finds by itself.
//!
//! C header: [`include/linux/ethtool.h`](srctree/include/linux/ethtool.h)

use super::{
    bindings,
    driver::{
        Driver,
        RingSizes, //
    },
    interface::parts, //
};
use core::marker::PhantomData;
use kernel::{
    error::from_result,
    prelude::*, //
};

/// A device as the kernel's own bindings have it, which know the operations, but of a device no
/// more than that there is one.
type NetDevice = kernel::bindings::net_device;

/// The operations for a driver.
pub(super) fn ops<T: Driver>() -> &'static bindings::ethtool_ops {
    &Callbacks::<T>::OPS
}

/// What copper of this family can do.
const MODES: u32 = 1 << bindings::ethtool_link_mode_bit_indices_ETHTOOL_LINK_MODE_10baseT_Half_BIT
    | 1 << bindings::ethtool_link_mode_bit_indices_ETHTOOL_LINK_MODE_10baseT_Full_BIT
    | 1 << bindings::ethtool_link_mode_bit_indices_ETHTOOL_LINK_MODE_100baseT_Half_BIT
    | 1 << bindings::ethtool_link_mode_bit_indices_ETHTOOL_LINK_MODE_100baseT_Full_BIT
    | 1 << bindings::ethtool_link_mode_bit_indices_ETHTOOL_LINK_MODE_1000baseT_Full_BIT
    | 1 << bindings::ethtool_link_mode_bit_indices_ETHTOOL_LINK_MODE_Autoneg_BIT
    | 1 << bindings::ethtool_link_mode_bit_indices_ETHTOOL_LINK_MODE_TP_BIT;

/// The callbacks.
///
/// # Safety
///
/// Each is called with a device that a [`Registration`](super::Registration) of `T` owns, with RTNL
/// held, and with structures that are theirs to fill.
struct Callbacks<T>(PhantomData<T>);

impl<T: Driver> Callbacks<T> {
    const OPS: bindings::ethtool_ops = bindings::ethtool_ops {
        get_link: Some(kernel::bindings::ethtool_op_get_link),
        get_ts_info: Some(kernel::bindings::ethtool_op_get_ts_info),
        get_link_ksettings: Some(Self::get_link_ksettings),
        get_ringparam: Some(Self::get_ringparam),
        set_ringparam: Some(Self::set_ringparam),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// See [`Callbacks`].
    unsafe extern "C" fn get_link_ksettings(
        dev: *mut NetDevice,
        settings: *mut bindings::ethtool_link_ksettings,
    ) -> c_int {
        // SAFETY: See [`Callbacks`].
        unsafe {
            let (_, private) = parts::<T>(dev.cast());
            let modes = &raw mut (*settings).link_modes;
            for mask in [
                (&raw mut (*modes).supported).cast(),
                (&raw mut (*modes).advertising).cast(),
            ] {
                bindings::ethtool_convert_legacy_u32_to_link_mode(mask, MODES);
            }
            let base = &mut (*settings).base;
            base.port = bindings::PORT_TP as u8;
            base.autoneg = bindings::AUTONEG_ENABLE as u8;
            let link = private.driver.link();
            base.speed = link
                .as_ref()
                .map_or(bindings::SPEED_UNKNOWN as u32, |link| link.speed);
            base.duplex = match link {
                None => bindings::DUPLEX_UNKNOWN,
                Some(link) if link.full_duplex => bindings::DUPLEX_FULL,
                Some(_) => bindings::DUPLEX_HALF,
            } as u8;
        }
        0
    }

    /// # Safety
    ///
    /// See [`Callbacks`].
    unsafe extern "C" fn get_ringparam(
        dev: *mut NetDevice,
        ring: *mut bindings::ethtool_ringparam,
        _more: *mut bindings::kernel_ethtool_ringparam,
        _ack: *mut bindings::netlink_ext_ack,
    ) {
        // SAFETY: See [`Callbacks`].
        unsafe {
            let (_, private) = parts::<T>(dev.cast());
            let (now, most) = (private.driver.ring_sizes(), private.driver.largest_rings());
            (*ring).rx_pending = now.receive;
            (*ring).tx_pending = now.transmit;
            (*ring).rx_max_pending = most.receive;
            (*ring).tx_max_pending = most.transmit;
        }
    }

    /// # Safety
    ///
    /// See [`Callbacks`].
    unsafe extern "C" fn set_ringparam(
        dev: *mut NetDevice,
        ring: *mut bindings::ethtool_ringparam,
        _more: *mut bindings::kernel_ethtool_ringparam,
        _ack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: See [`Callbacks`].
        from_result(|| unsafe {
            let (dev, private) = parts::<T>(dev.cast());
            if (*ring).rx_mini_pending != 0 || (*ring).rx_jumbo_pending != 0 {
                return Err(EINVAL);
            }
            let driver = &private.driver;
            let old = driver.ring_sizes();
            let new = RingSizes {
                receive: (*ring).rx_pending,
                transmit: (*ring).tx_pending,
            };
            private.change(
                dev,
                || driver.set_ring_sizes(new),
                || driver.set_ring_sizes(old),
            )?;
            Ok(0)
        })
    }
}
