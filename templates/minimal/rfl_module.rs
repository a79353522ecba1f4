// SPDX-License-Identifier: GPL-2.0

//! What this module is for.

use kernel::prelude::*;

module! {
    type: RflModule,
    name: "rfl_module",
    authors: ["Your Name"],
    description: "What this module is for",
    license: "GPL",
}

struct RflModule;

impl kernel::Module for RflModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        pr_info!("loaded\n");

        Ok(RflModule)
    }
}

impl Drop for RflModule {
    fn drop(&mut self) {
        pr_info!("unloaded\n");
    }
}
