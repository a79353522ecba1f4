// SPDX-License-Identifier: GPL-2.0

//! A module as others have it: a Makefile, a Kbuild and this, and no test of rflbuild's.

use kernel::prelude::*;

module! {
    type: OutOfTree,
    name: "out_of_tree",
    authors: ["rflbuild"],
    description: "A module in the shape of rust-out-of-tree-module",
    license: "GPL",
}

struct OutOfTree {
    numbers: KVec<i32>,
}

impl kernel::Module for OutOfTree {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let mut numbers = KVec::new();
        numbers.push(72, GFP_KERNEL)?;
        numbers.push(108, GFP_KERNEL)?;
        pr_info!("loaded with {} numbers\n", numbers.len());

        Ok(OutOfTree { numbers })
    }
}

impl Drop for OutOfTree {
    fn drop(&mut self) {
        pr_info!("unloaded with {:?}\n", self.numbers);
    }
}
