// SPDX-License-Identifier: GPL-2.0

//! The kernel warns while it is loaded, and goes on.

use kernel::prelude::*;

module! {
    type: Warns,
    name: "warns",
    authors: ["rflbuild"],
    description: "A module with a fault",
    license: "GPL",
}

struct Warns;

impl kernel::Module for Warns {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        kernel::warn_on!(true);

        Ok(Warns)
    }
}
