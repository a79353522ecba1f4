// SPDX-License-Identifier: GPL-2.0

//! A platform driver, for a device that every `virt` machine of QEMU has: fw_cfg.
//!
//! It holds what QEMU tells the guest's firmware about the machine, as numbered items of bytes.
//! Writing an item's number to one register makes another one yield its bytes in turn. See
//! `docs/specs/fw_cfg.rst` in QEMU's source, and
//! `Documentation/devicetree/bindings/firmware/qemu,fw-cfg-mmio.yaml`.

use kernel::{
    device::Core,
    io::{
        mem::IoMem,
        register,
        Io, //
    },
    of,
    platform,
    prelude::*, //
};

register! {
    /// The next byte of the selected item.
    DATA(u8) @ 0x0 {
        7:0 byte;
    }

    /// The number of the item to read from now on, the high byte first.
    SELECTOR(u16) @ 0x8 {
        15:0 item;
    }
}

/// The size of the registers that this driver uses.
const REGISTERS: usize = 0xa;

/// The item that tells fw_cfg from anything else: four bytes, [`SIGNATURE`].
const ITEM_SIGNATURE: u16 = 0x00;
/// The item that holds the number of CPUs: two bytes, the low one first.
const ITEM_CPUS: u16 = 0x05;

/// What [`ITEM_SIGNATURE`] must be.
const SIGNATURE: [u8; 4] = *b"QEMU";

/// What the driver keeps for each device, from `probe` until the device is unbound.
///
/// `'bound` is just that time: nobody can touch the registers outside of it.
struct FwCfg<'bound> {
    registers: IoMem<'bound, REGISTERS>,
}

impl FwCfg<'_> {
    /// Makes [`const@DATA`] yield `item` from its first byte on.
    fn select(&self, item: u16) {
        // Registers are taken to be little-endian, as on most devices. This one is not.
        let selector = SELECTOR::zeroed().with_item(item.swap_bytes());
        self.registers.write_reg(selector);
    }

    /// Reads the first `N` bytes of `item`.
    fn read<const N: usize>(&self, item: u16) -> [u8; N] {
        self.select(item);
        core::array::from_fn(|_| self.registers.read(DATA).byte().get())
    }
}

struct RflModule;

// The devices that this driver is for. `modinfo` shows them as aliases of the module.
kernel::of_device_table!(
    OF_TABLE,
    <RflModule as platform::Driver>::IdInfo,
    [(of::DeviceId::new(c"qemu,fw-cfg-mmio"), ())]
);

impl platform::Driver for RflModule {
    type IdInfo = ();
    type Data<'bound> = FwCfg<'bound>;

    const OF_ID_TABLE: Option<of::IdTable<Self::IdInfo>> = Some(&OF_TABLE);

    fn probe<'bound>(
        pdev: &'bound platform::Device<Core<'_>>,
        _info: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound {
        // Where the registers are is in the device tree, the property `reg`. They are mapped, but
        // not claimed: `iomap_exclusive_sized` of Linux 7.3 cannot give back what comes from there.
        let request = pdev.io_request_by_index(0).ok_or(ENODEV)?;
        let fw_cfg = FwCfg {
            registers: request.iomap_sized()?,
        };

        let signature = fw_cfg.read(ITEM_SIGNATURE);
        if signature != SIGNATURE {
            dev_err!(pdev, "signature {signature:x?}, not {SIGNATURE:x?}\n");
            return Err(ENODEV);
        }

        let cpus = u16::from_le_bytes(fw_cfg.read(ITEM_CPUS));
        dev_info!(pdev, "bound; QEMU says that there are {cpus} CPUs\n");

        Ok(fw_cfg)
    }

    fn unbind<'bound>(pdev: &'bound platform::Device<Core<'_>>, this: Pin<&Self::Data<'bound>>) {
        // The last chance to touch the registers: leave them as the machine started with.
        this.select(ITEM_SIGNATURE);
        dev_info!(pdev, "unbound\n");
    }
}

kernel::module_platform_driver! {
    type: RflModule,
    name: "rfl_module",
    authors: ["Your Name"],
    description: "A platform driver",
    license: "GPL",
}
