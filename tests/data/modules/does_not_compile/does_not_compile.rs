// SPDX-License-Identifier: GPL-2.0

//! A type error, for the compiler to find.

use kernel::prelude::*;

module! {
    type: DoesNotCompile,
    name: "does_not_compile",
    authors: ["rflbuild"],
    description: "A module with a fault",
    license: "GPL",
}

struct DoesNotCompile;

impl kernel::Module for DoesNotCompile {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let number: u32 = "seven";
        pr_info!("{number}\n");

        Ok(DoesNotCompile)
    }
}
