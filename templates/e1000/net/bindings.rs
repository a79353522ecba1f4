// SPDX-License-Identifier: GPL-2.0

//! The C functions, types and constants of the headers that `module.yaml` names.
//!
//! Only those that this folder's files mention are made, and what the kernel's own bindings have
//! is taken from there.

include!("../bindings_generated.rs");
