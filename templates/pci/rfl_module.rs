// SPDX-License-Identifier: GPL-2.0

//! A PCI driver, for QEMU's `-device pci-testdev`.
//!
//! The device counts the writes to a place of its own choice. Its registers are in BAR 0, a window
//! into the machine's memory. See `docs/specs/pci-testdev.rst` in QEMU's source.

use kernel::{
    device::Core,
    io::{
        register,
        register::Array,
        Io, //
    },
    pci,
    prelude::*, //
};

register! {
    /// The number of the test to run from now on, with `COUNT` at 0.
    TEST(u8) @ 0x0 {
        7:0 number;
    }

    /// Where writes are counted, in bytes from the start of the BAR.
    OFFSET(u32) @ 0x4 {
        31:0 bytes;
    }

    /// What to write there.
    DATA(u8) @ 0x8 {
        7:0 value;
    }

    /// How many writes were counted.
    COUNT(u32) @ 0xc {
        31:0 writes;
    }

    /// The name of the test: text, up to a zero.
    NAME(u8)[16] @ 0x10 {
        7:0 character;
    }
}

/// The size of the registers that this driver uses. The BAR may be larger, but must not be smaller.
const REGISTERS: usize = 0x20;

/// The number of the test that counts all writes.
const ALL_WRITES: u8 = 0;
/// Not the number of a test: the device does nothing.
const NO_TEST: u8 = 0xff;

/// What the driver keeps for each device, from `probe` until the device is unbound.
///
/// `'bound` is just that time: nobody can touch the BAR outside of it.
struct TestDevice<'bound> {
    bar: pci::Bar<'bound, REGISTERS>,
}

impl TestDevice<'_> {
    /// Makes the device run another test.
    fn select(&self, number: u8) {
        self.bar.write_reg(TEST::zeroed().with_number(number));
    }

    /// Reads the name of the test that runs.
    fn name(&self) -> [u8; 16] {
        core::array::from_fn(|i| NAME::try_at(i).map_or(0, |at| self.bar.read(at).into()))
    }

    /// Writes as many times as told, and returns how many writes the device has counted.
    fn count(&self, writes: usize) -> Result<u32> {
        let value = self.bar.read(DATA).value().get();
        let offset = usize::try_from(self.bar.read(OFFSET).bytes().get())?;

        for _ in 0..writes {
            // Where a register is known when the driver is built, so is that it lies in the BAR.
            // This place is not: only `try_write8` compares it with the BAR's size.
            self.bar.try_write8(value, offset)?;
        }

        Ok(self.bar.read(COUNT).writes().get())
    }
}

struct RflModule;

// The devices that this driver is for. `modinfo` shows them as aliases of the module.
kernel::pci_device_table!(
    PCI_TABLE,
    <RflModule as pci::Driver>::IdInfo,
    [(pci::DeviceId::from_id(pci::Vendor::REDHAT, 0x5), ())]
);

impl pci::Driver for RflModule {
    type IdInfo = ();
    type Data<'bound> = TestDevice<'bound>;

    const ID_TABLE: pci::IdTable<Self::IdInfo> = &PCI_TABLE;

    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        _info: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound {
        // Until then, the device does not answer to reads and writes.
        pdev.enable_device_mem()?;

        let device = TestDevice {
            bar: pdev.iomap_region_sized(0, c"rfl_module")?,
        };

        device.select(ALL_WRITES);
        let name = device.name();
        let name = CStr::from_bytes_until_nul(&name).map_err(|_| EIO)?;
        let count = device.count(3)?;
        dev_info!(pdev, "bound; test {name} counted {count} writes\n");

        Ok(device)
    }

    fn unbind<'bound>(pdev: &'bound pci::Device<Core<'_>>, this: Pin<&Self::Data<'bound>>) {
        // The last chance to touch the device: leave it at rest.
        this.select(NO_TEST);
        dev_info!(pdev, "unbound\n");
    }
}

kernel::module_pci_driver! {
    type: RflModule,
    name: "rfl_module",
    authors: ["Your Name"],
    description: "A PCI driver",
    license: "GPL",
}
