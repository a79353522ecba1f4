// SPDX-License-Identifier: GPL-2.0

//! Loading it never ends, and needs no CPU.

use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

module! {
    type: Sleeps,
    name: "sleeps",
    authors: ["rflbuild"],
    description: "A module with a fault",
    license: "GPL",
}

struct Sleeps;

impl kernel::Module for Sleeps {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        pr_info!("sleeping\n");
        fsleep(Delta::from_secs(1000));

        Ok(Sleeps)
    }
}
