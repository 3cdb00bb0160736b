# The kernel matrix: tools/install-deps.sh vm installs what it needs.
.PHONY: vmtest vm-helpers

$(KTEST)/bpfload: $(BUILD)/obj/tests/kernel/bpfload.o $(BUILD)/obj/tests/kernel/bpfflow.o $(STATIC_OBJ) $(BUILD)/libtrace.a $(BUILD)/libcore.a
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -static -Wl,--wrap=dlopen $(ARCH_LDFLAGS) -o $@ $^ $(STATIC_LIBS)

$(KTEST)/dropcaps: tests/vm/dropcaps.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE $(WARN) -O2 -static -o $@ $<

kernel-helpers: $(KTEST)/bpfload $(KTEST)/unguarded.bpf.o

vm-helpers: $(KTEST)/bpfload $(KTEST)/dropcaps $(KTEST)/stuckcalls

vmtest: static target vm-helpers
	$(Q)tools/install-deps.sh vm
	$(Q)$(PYTHON) -B tests/vm/run.py $(BUILD) $(VM_ARGS)
