// SPDX-License-Identifier: GPL-2.0

//! A PCI device that is switched on.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)

use super::bindings;
use kernel::{
    device::{
        Bound,
        Core, //
    },
    dma::{
        Device as _,
        DmaMask, //
    },
    pci,
    prelude::*, //
};

/// A device that answers to reads and writes of its memory, and may master the bus.
///
/// Both end when the value is dropped, so it has to outlive everything that the device may write
/// to.
pub(crate) struct Enabled<'bound>(&'bound pci::Device<Bound>);

impl<'bound> Enabled<'bound> {
    /// Switches a device on that can address memory with so many bits.
    pub(crate) fn new<const BITS: u32>(pdev: &'bound pci::Device<Core<'_>>) -> Result<Self> {
        // SAFETY: The device is being probed, and nothing was allocated or mapped for it yet.
        unsafe { pdev.dma_set_mask_and_coherent(DmaMask::new::<BITS>()) }?;
        pdev.enable_device_mem()?;
        pdev.set_master();
        Ok(Self(pdev))
    }
}

impl Drop for Enabled<'_> {
    fn drop(&mut self) {
        let pdev: *const pci::Device<Bound> = self.0;
        // CAST: `pci::Device` is a transparent wrapper of `struct pci_dev`.
        let pdev = pdev.cast_mut().cast::<bindings::pci_dev>();

        // SAFETY: The reference makes `pdev` valid, and `new` has enabled the device.
        unsafe {
            bindings::pci_clear_master(pdev);
            bindings::pci_disable_device(pdev);
        }
    }
}
