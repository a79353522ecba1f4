// SPDX-License-Identifier: GPL-2.0

//! The kernel's C bindings, and those that `module.yaml` asks for.

include!("bindings_generated.rs");
