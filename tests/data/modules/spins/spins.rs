// SPDX-License-Identifier: GPL-2.0

//! Loading it never ends, and keeps a CPU busy.

use kernel::prelude::*;

module! {
    type: Spins,
    name: "spins",
    authors: ["rflbuild"],
    description: "A module with a fault",
    license: "GPL",
}

struct Spins;

impl kernel::Module for Spins {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        pr_info!("spinning\n");
        loop {
            core::hint::spin_loop();
        }
    }
}
