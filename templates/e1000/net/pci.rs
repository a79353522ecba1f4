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
    pci,
    prelude::*, //
};

/// A device that answers to reads and writes of its memory, and may master the bus.
///
/// Both end when the value is dropped, so it has to outlive everything that the device may write
/// to.
pub(crate) struct Enabled<'bound>(&'bound pci::Device<Bound>);

impl<'bound> Enabled<'bound> {
    /// Switches the device on.
    ///
    /// Its DMA mask is left as the PCI core sets it, at 32 bits, which every card can address.
    pub(crate) fn new(pdev: &'bound pci::Device<Core<'_>>) -> Result<Self> {
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
