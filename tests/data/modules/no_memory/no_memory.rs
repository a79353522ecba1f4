// SPDX-License-Identifier: GPL-2.0

//! Loading it is refused, as when memory runs out.

use kernel::prelude::*;

module! {
    type: NoMemory,
    name: "no_memory",
    authors: ["rflbuild"],
    description: "A module with a fault",
    license: "GPL",
}

struct NoMemory;

impl kernel::Module for NoMemory {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Err(ENOMEM)
    }
}
