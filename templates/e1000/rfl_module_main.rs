// SPDX-License-Identifier: GPL-2.0

//! A driver for Intel's 8254x network cards, as QEMU's `-device e1000` and its kin are.
//!
//! It takes six steps for a packet to come and go:
//!
//! 1. The rings: descriptors in coherent DMA memory ([`ring`]).
//! 2. The buffers: memory that the card writes packets to ([`net::ReceiveBuffer`]).
//! 3. The ring registers: base, length, head and tail ([`Hardware::start_transmit`],
//!    [`Hardware::start_receive`]).
//! 4. The interrupt: requested when the interface comes up, and handled ([`Adapter`]).
//! 5. Receive: a descriptor that is done becomes a packet for the stack ([`receive`]).
//! 6. Transmit: a packet becomes descriptors, and the tail register tells the card ([`transmit`]).
//!
//! [`net`] wraps the C side. All that is `unsafe` is there, but for a promise at the end of probe.

mod adapter;
mod descriptors;
mod eeprom;
mod hardware;
mod net;
mod receive;
mod registers;
mod ring;
mod transmit;

use adapter::Adapter;
use eeprom::Model;
use hardware::Hardware;
use kernel::{
    device::Core,
    pci::{
        self,
        IrqType,
        IrqTypes, //
    },
    prelude::*, //
};
use net::{
    Features,
    Setup, //
};
#[cfg(doc)]
use {
    receive::Receiver,
    transmit::Transmitter, //
};

struct RflModule;

/// How many bits of an address every model can use.
const ADDRESS_BITS: u32 = 32;

// The C driver's table has the names.
kernel::pci_device_table!(
    PCI_TABLE,
    <RflModule as pci::Driver>::IdInfo,
    [
        // 82544GC, copper.
        (
            pci::DeviceId::from_id(pci::Vendor::INTEL, 0x100c),
            Model::I82544
        ),
        // 82540EM.
        (
            pci::DeviceId::from_id(pci::Vendor::INTEL, 0x100e),
            Model::I8254x
        ),
        // 82545EM, copper.
        (
            pci::DeviceId::from_id(pci::Vendor::INTEL, 0x100f),
            Model::I8254x
        ),
    ]
);

impl pci::Driver for RflModule {
    type IdInfo = Model;
    type Data<'bound> = net::Registration<'bound, Adapter<'bound>>;

    const ID_TABLE: pci::IdTable<Self::IdInfo> = &PCI_TABLE;

    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        model: Option<&'bound Model>,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound {
        let dev = pdev.as_ref();
        let enabled = net::Enabled::new::<ADDRESS_BITS>(pdev)?;
        let bar = pdev.iomap_region_sized(0, c"rfl_module")?;
        let model = *model.ok_or(ENODEV)?;
        let hardware = Hardware::new(bar, model);
        hardware.check_present(dev)?;
        hardware.reset();
        let address = hardware.read_address().inspect_err(|error| {
            if *error == EIO {
                dev_err!(dev, "the EEPROM's checksum is wrong\n");
            } else {
                dev_err!(dev, "the EEPROM does not answer\n");
            }
        })?;
        let vectors = pdev.alloc_irq_vectors(1, 1, IrqTypes::default().with(IrqType::Intx))?;

        let setup = Setup {
            address,
            features: Features::SCATTER_GATHER
                .with(Features::CHECKSUM)
                .with(Features::SEGMENTATION)
                .with(Features::RECEIVE_CHECKSUM),
            max_mtu: adapter::MAX_MTU,
        };
        let adapter = Adapter::new(dev, enabled, hardware, vectors);
        // SAFETY: It goes to the PCI core, which drops it when the device is unbound.
        unsafe { net::Registration::new(dev, setup, adapter) }
    }
}

kernel::module_pci_driver! {
    type: RflModule,
    name: "rfl_module",
    authors: ["Your Name"],
    description: "A driver for Intel's 8254x network cards",
    license: "GPL",
}
