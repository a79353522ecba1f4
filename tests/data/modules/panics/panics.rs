// SPDX-License-Identifier: GPL-2.0

//! A panic of Rust while it is loaded.

use kernel::prelude::*;

module! {
    type: Panics,
    name: "panics",
    authors: ["rflbuild"],
    description: "A module with a fault",
    license: "GPL",
}

struct Panics;

impl kernel::Module for Panics {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let numbers = KVec::<u32>::new();
        pr_info!("the first is {}\n", numbers.first().unwrap());

        Ok(Panics)
    }
}
