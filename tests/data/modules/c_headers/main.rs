// SPDX-License-Identifier: GPL-2.0

//! A network device that drops what it is sent, by C alone.

mod bindings;

use kernel::{
    error::to_result,
    ffi,
    prelude::*, //
};

/// What the device keeps behind its `net_device`.
#[repr(C)]
struct Private {
    sent: u64,
}

/// Takes a frame and drops it.
///
/// # Safety
///
/// Called by the network stack alone.
unsafe extern "C" fn start_xmit(
    skb: *mut bindings::sk_buff,
    dev: *mut bindings::net_device,
) -> bindings::netdev_tx_t {
    // SAFETY: The device was allocated with room for a `Private`, which only this touches, under
    // the queue's lock; the frame is ours from here on.
    unsafe {
        (*bindings::netdev_priv(dev).cast::<Private>()).sent += 1;
        bindings::dev_kfree_skb_any(skb);
    }
    bindings::netdev_tx_NETDEV_TX_OK
}

static OPS: bindings::net_device_ops = bindings::net_device_ops {
    ndo_start_xmit: Some(start_xmit),
    // SAFETY: All fields are function pointers that may be null.
    ..unsafe { core::mem::zeroed() }
};

struct CHeaders(*mut bindings::net_device);

// SAFETY: The C side takes its own locks.
unsafe impl Send for CHeaders {}
// SAFETY: As above.
unsafe impl Sync for CHeaders {}

impl kernel::Module for CHeaders {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // SAFETY: No more than an allocation.
        let dev = unsafe { bindings::alloc_etherdev_mqs(size_of::<Private>() as ffi::c_int, 1, 1) };
        if dev.is_null() {
            return Err(ENOMEM);
        }
        // SAFETY: The device is ours and not registered yet.
        let registered = unsafe {
            (*dev).netdev_ops = &OPS;
            (*dev).hw_features = bindings::NETIF_F_SG;
            to_result(bindings::register_netdev(dev))
        };
        if let Err(error) = registered {
            // SAFETY: It is not registered.
            unsafe { bindings::free_netdev(dev) };
            return Err(error);
        }
        pr_info!("frames of up to {} bytes\n", bindings::ETH_FRAME_LEN);
        Ok(CHeaders(dev))
    }
}

impl Drop for CHeaders {
    fn drop(&mut self) {
        // SAFETY: The device is registered, and nobody uses it after this.
        unsafe {
            bindings::unregister_netdev(self.0);
            bindings::free_netdev(self.0);
        }
    }
}

module! {
    type: CHeaders,
    name: "c_headers",
    authors: ["rflbuild"],
    description: "A network device by C alone",
    license: "GPL",
}
