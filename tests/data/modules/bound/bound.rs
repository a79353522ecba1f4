// SPDX-License-Identifier: GPL-2.0

//! Calls C functions that the kernel's own bindings lack until `new-binding` adds them.

use kernel::{
    bindings,
    prelude::*, //
};

struct Bound;

impl kernel::Module for Bound {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let address: [u8; 6] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];
        let group: [u8; 6] = [0xff; 6];

        // SAFETY: It only calculates.
        let multiple = unsafe { bindings::lcm(4, 6) };
        pr_info!("lcm(4, 6) is {multiple}\n");

        // SAFETY: Both have the six bytes that it reads.
        let valid = unsafe {
            [
                bindings::is_valid_ether_addr(address.as_ptr()),
                bindings::is_valid_ether_addr(group.as_ptr()),
            ]
        };
        pr_info!("valid addresses: {valid:?}\n");

        // SAFETY: It only calculates.
        let power = unsafe { bindings::roundup_pow_of_two(1000) };
        pr_info!("1000 rounds up to {power}\n");
        Ok(Bound)
    }
}

module! {
    type: Bound,
    name: "bound",
    authors: ["rflbuild"],
    description: "Calls freshly bound C functions",
    license: "GPL",
}
