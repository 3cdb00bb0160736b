# Helpers of the kernel tests, below build/tests.
KTEST := $(BUILD)/tests

$(KTEST)/%.bpf.o: tests/kernel/%.bpf.c
	@echo "  BPF     $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<

$(KTEST)/stackcopy: $(BUILD)/obj/tests/kernel/stackcopy.o
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(TRACE_LIBS)

kernel-helpers: $(KTEST)/stackcopy $(KTEST)/stackcopy.bpf.o
