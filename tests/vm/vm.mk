# The kernel matrix: tools/install-deps.sh vm installs what it needs.
.PHONY: vmtest

$(KTEST)/bpfload: $(BUILD)/obj/tests/kernel/bpfload.o $(BUILD)/obj/tests/kernel/bpfflow.o $(STATIC_OBJ) $(BUILD)/libtrace.a $(BUILD)/libcore.a
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -static -Wl,--wrap=dlopen -o $@ $^ $(STATIC_LIBS)

kernel-helpers: $(KTEST)/bpfload $(KTEST)/unguarded.bpf.o

vmtest: static target $(KTEST)/bpfload $(KTEST)/stuckcalls
	$(Q)tools/install-deps.sh vm
	$(Q)$(PYTHON) -B tests/vm/run.py $(BUILD) $(VM_ARGS)
