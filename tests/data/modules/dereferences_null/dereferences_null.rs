// SPDX-License-Identifier: GPL-2.0

//! Reads where nothing is mapped while it is loaded.

use kernel::prelude::*;

module! {
    type: DereferencesNull,
    name: "dereferences_null",
    authors: ["rflbuild"],
    description: "A module with a fault",
    license: "GPL",
}

struct DereferencesNull;

impl kernel::Module for DereferencesNull {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // SAFETY: It is not safe, and that is the point.
        let value = unsafe { core::ptr::null::<u32>().wrapping_add(4).read_volatile() };
        pr_info!("read {value}\n");

        Ok(DereferencesNull)
    }
}
