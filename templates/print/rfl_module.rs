// SPDX-License-Identifier: GPL-2.0

//! Kernel messages of every level, and module parameters.

use kernel::prelude::*;

module! {
    type: RflModule,
    name: "rfl_module",
    authors: ["Your Name"],
    description: "Messages of every level, and module parameters",
    license: "GPL",
    // Set by `insmod rfl_module.ko repeat=3 all_levels=1`. When the module is built into
    // the kernel, by `rfl_module.repeat=3` on the kernel's command line.
    //
    // A type can be any integer, or `bool`. With a value that does not fit, the module is not
    // loaded, and `insmod` reports EINVAL. `modinfo` lists the parameters.
    params: {
        repeat: u8 {
            default: 1,
            description: "How often to say hello",
        },
        first: i32 {
            default: 1,
            description: "Where to start counting; 0x, 0o and 0b work as well",
        },
        all_levels: bool {
            default: false,
            description: "Whether to print a message of every level, too",
        },
    },
}

struct RflModule {
    /// The number that the next hello would have had.
    next: i32,
}

/// Prints one message of each level, the most urgent first.
///
/// The log keeps them all. How urgent one must be to reach the console, too, is for the
/// administrator to say (`dmesg -n`).
fn print_all_levels() {
    pr_emerg!("level 0: the system cannot be used\n");
    pr_alert!("level 1: somebody must act at once\n");
    pr_crit!("level 2: a critical condition\n");
    pr_err!("level 3: an error\n");
    pr_warn!("level 4: something to look at\n");
    pr_notice!("level 5: normal, but worth a note\n");
    pr_info!("level 6: for your information\n");
    // Compiled in only if the kernel was built with CONFIG_RUST_DEBUG_ASSERTIONS.
    pr_debug!("level 7: for whoever looks for a mistake\n");
}

impl kernel::Module for RflModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // The macro made a module named `module_parameters`, with one static for each of them.
        let mut next = module_parameters::first.value();

        for _ in 0..module_parameters::repeat.value() {
            pr_info!("hello number {next}\n");

            // What comes from outside may be the largest number there is: `next += 1` could wrap.
            next = next.checked_add(1).ok_or(EOVERFLOW)?;
        }

        if module_parameters::all_levels.value() {
            print_all_levels();
        }

        Ok(RflModule { next })
    }
}

impl Drop for RflModule {
    fn drop(&mut self) {
        // All that `println!` can format works here, too.
        pr_info!("the next would be number {} ({0:#06x})\n", self.next);
    }
}
