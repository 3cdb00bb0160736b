# The kernel matrix: tools/install-deps.sh vm installs what it needs.
.PHONY: vmtest vm-helpers vm-arm64 bench-vm

$(KTEST)/bpfload: $(BUILD)/obj/tests/kernel/bpfload.o $(BUILD)/obj/tests/kernel/bpfflow.o $(STATIC_OBJ) $(BUILD)/libtrace.a $(BUILD)/libcore.a
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -static -Wl,--wrap=dlopen $(ARCH_LDFLAGS) -o $@ $^ $(STATIC_LIBS)

$(KTEST)/dropcaps: tests/vm/dropcaps.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE $(WARN) -O2 -static -o $@ $<

kernel-helpers: $(KTEST)/bpfload $(KTEST)/unguarded.bpf.o

vm-helpers: $(KTEST)/bpfload $(KTEST)/dropcaps
ifeq ($(ARCH),x86_64)
vm-helpers: $(KTEST)/stuckcalls $(KTEST)/rpcload
endif

# What runs on arm64's kernels. If the packages for it cannot be had, those kernels are reported as missing.
vm-arm64:
	$(Q)if tools/install-deps.sh arm64 && tools/aarch64-sysroot $(BUILD)/aarch64; then \
		$(MAKE) -s ARCH=aarch64 BUILD=$(BUILD)/aarch64 static target vm-helpers; \
	fi

vmtest: static target vm-helpers vm-arm64
	$(Q)tools/install-deps.sh vm
	$(Q)$(PYTHON) -B tests/vm/run.py $(BUILD) $(VM_ARGS)

# what following calls costs, by each source, in instructions of an emulated machine (docs/bench.md)
bench-vm: static target vm-helpers
	$(Q)tools/install-deps.sh vm
	$(Q)$(PYTHON) -B tests/vm/run.py $(BUILD) --tests cost --kernels 6.12 $(VM_ARGS)
