// SPDX-License-Identifier: GPL-2.0

//! A first kernel module: it says hello, keeps some numbers, and says goodbye.
//!
//! A module has no `main`. When it is loaded (`insmod`), the kernel calls
//! [`init`](kernel::Module::init). From then on it just is there, for others to call.
//! When it is removed (`rmmod`), the kernel calls [`drop`](Drop::drop).

// There is no `std` in the kernel. `core` is there as ever, and the `kernel` crate takes the place
// of the rest: memory, printing, locks, devices. Its prelude holds what nearly every module needs.
use kernel::prelude::*;

// What a C module says with `module_init()`, `MODULE_LICENSE()` and so on. The keys must come in
// this order. `modinfo rfl_module.ko` shows them.
module! {
    // The type that stands for the loaded module. It must implement `kernel::Module` (below).
    type: RflModule,
    // The name in `lsmod`, and the start of every line that the `pr_*!` macros print.
    name: "rfl_module",
    // Who to ask about it.
    authors: ["Your Name"],
    description: "A first module",
    // Not a formality: a module that is not "GPL" may not use most of what the kernel offers.
    license: "GPL",
}

/// The module's state. The kernel keeps it from a successful `init` until the module is removed.
///
/// A field of this struct is the right place for whatever the module owns. Global variables, the
/// habit in C, are neither needed nor safe: several CPUs may run the module's code at once.
struct RflModule {
    /// The first square numbers, in memory from `kmalloc()`: the K in `KVec`.
    squares: KVec<u32>,
}

impl kernel::Module for RflModule {
    /// Runs once, when the module is loaded, on behalf of the `insmod` process.
    ///
    /// `Ok(state)` makes the module stay. `Err(ENOMEM)` or another error code refuses to load it:
    /// that is the error which `insmod` then prints.
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // Like `println!`, but to the kernel's log (`dmesg`), at the level "info". No new line is
        // added, so the text ends with its own.
        pr_info!("Hello from Rust!\n");

        let mut squares = KVec::new();
        for n in 1..=5 {
            // Memory can run out, and the kernel must survive that. So `push` returns a `Result`,
            // and `?` hands an error on to our caller; what `squares` holds by then is freed.
            // `GFP_KERNEL` says that we may sleep until there is memory, as we may in `init`.
            squares.push(n * n, GFP_KERNEL)?;
        }
        pr_info!("I keep {} squares.\n", squares.len());

        Ok(RflModule { squares })
    }
}

impl Drop for RflModule {
    /// Runs once, when the module is removed. It cannot fail.
    ///
    /// The fields are dropped right after it, as everywhere in Rust: the memory of `squares` goes
    /// back to the kernel without a line of ours.
    fn drop(&mut self) {
        let sum: u32 = self.squares.iter().sum();

        pr_info!("My squares are {:?}, {sum} in all.\n", self.squares);
        pr_info!("Goodbye!\n");
    }
}
