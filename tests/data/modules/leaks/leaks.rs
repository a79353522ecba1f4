// SPDX-License-Identifier: GPL-2.0

//! Memory is allocated while it is loaded, and never freed.

use kernel::prelude::*;

module! {
    type: Leaks,
    name: "leaks",
    authors: ["rflbuild"],
    description: "A module with a fault",
    license: "GPL",
}

struct Leaks;

impl kernel::Module for Leaks {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        for number in 0..8u64 {
            let _lost = KBox::into_raw(KBox::new([number; 32], GFP_KERNEL)?);
        }

        Ok(Leaks)
    }
}
