# Kernel types for kernels that have none: btf/ARCH/RELEASE.btf (made by tools/add-btf), built in and found by `uname -r`.
BTF_DIR     ?= btf/$(ARCH)
BTF_FILES   := $(wildcard $(BTF_DIR)/*.btf)
BUILTIN_BTF := $(BUILD)/obj/builtin_btf.o

$(BUILD)/btf-prune: tools/btf-prune.c
	@echo "  CC      $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(HOSTCC) -std=gnu11 -D_GNU_SOURCE $(WARN) $(CFLAGS) -o $@ $< -lbpf

# vmlinux/MACHINE/vmlinux.h from a kernel's types
$(BUILD)/btf-header: tools/btf-header.c
	@echo "  CC      $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(HOSTCC) -std=gnu11 -D_GNU_SOURCE $(WARN) $(CFLAGS) -o $@ $< -lbpf

# anew when a file comes or goes, too
$(BUILD)/gen/builtin_btf.list: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)echo "$(BTF_FILES)" | cmp -s - $@ || echo "$(BTF_FILES)" > $@

$(BUILD)/gen/builtin_btf.S: $(BUILD)/gen/builtin_btf.list $(BTF_FILES) $(BPF_OBJ) tools/embed-btf
	@echo "  BTF     $(words $(BTF_FILES)) kernels built in"
	$(Q)BPFTOOL=$(BPFTOOL) tools/embed-btf $(BTF_DIR) $(BUILD)/btf $@ $(BPF_OBJ)

$(BUILTIN_BTF): $(BUILD)/gen/builtin_btf.S
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -c -o $@ $<

.PHONY: FORCE
FORCE:
