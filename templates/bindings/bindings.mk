# SPDX-License-Identifier: GPL-2.0

# Rust bindings for the C headers that module.yaml names, made beside the module:
# bindings_generated.rs, from the names that its Rust uses as `bindings::NAME`.
# A Kbuild takes it in by
#
#	include $(src)/bindings.mk
#
# and the module by a bindings.rs that says `include!("bindings_generated.rs");`.

bindings-script := $(dir $(lastword $(MAKEFILE_LIST)))bindings.py
bindings-helpers := $(shell sed -n 's/^helpers:[ "]*\([^ "\#]*\).*/\1/p' $(src)/module.yaml)
bindings-kernel := $(addprefix $(objtree)/rust/bindings/,bindings_generated.rs bindings_helpers_generated.rs)

# Helpers are called from Rust alone: there is no header with their prototypes.
CFLAGS_REMOVE_$(bindings-helpers:.c=.o) += -Wmissing-prototypes -Wmissing-declarations

targets += bindings_generated.h bindings_generated.rs
clean-files += bindings_generated.h bindings_generated.rs

# What bindgen reads: the headers, the helpers, and the names that are wanted. It
# changes, and bindgen runs again, only when one of them does.
filechk_bindings = $(PYTHON3) $(bindings-script) header $(src)

$(obj)/bindings_generated.h: $(src)/module.yaml FORCE
	$(call filechk,bindings)

# The flags are those of a C file of the module, as in the kernel's rust/Makefile.
quiet_cmd_bindings = BINDGEN $@
      cmd_bindings = $(PYTHON3) $(bindings-script) rust $(src) $(srctree) $(objtree) $< $@ \
	$(if $(CONFIG_CC_IS_CLANG),,$(SRCARCH)) -- \
	$(BINDGEN) $(filter-out $(CC_FLAGS_LTO),$(c_flags)) -DMODULE -fno-builtin -D__BINDGEN__ \
	-Wno-missing-prototypes -Wno-missing-declarations

$(obj)/bindings_generated.rs: private part-of-module := y
$(obj)/bindings_generated.rs: $(obj)/bindings_generated.h $(bindings-script) \
    $(srctree)/rust/bindgen_parameters $(bindings-kernel) FORCE
	$(call if_changed_dep,bindings)

# The object, and whatever else make offers to make of a file (`make help`, "single targets").
bindings-of := $(patsubst $(src)/%.rs,$(obj)/%,$(wildcard $(src)/*.rs))
$(foreach form,o ll rsi s,$(addsuffix .$(form),$(bindings-of))): $(obj)/bindings_generated.rs
