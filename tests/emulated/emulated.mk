# Tests of a build for another machine (`make ARCH=aarch64 emulated`), in qemu-user: unit tests without sanitizers, and those commands
# that need no BPF. What is of x86-64 by its nature, or needs what qemu-user lacks, is in tests/emulated/left-out, and counts as skipped.
EMU_NAMES := $(filter-out $(shell sed 's/[ \#].*//' tests/emulated/left-out),$(UNIT_SRC:tests/unit/%.c=%))
EMU_BIN   := $(EMU_NAMES:%=$(BUILD)/emulated/%)

$(BUILD)/obj/tests/unit/%.o $(BUILD)/san/tests/unit/%.o: ALL_CFLAGS += -Itests/unit/$(ARCH)

$(BUILD)/emulated/%: $(BUILD)/obj/tests/unit/%.o $(STATIC_OBJ) $(BUILD)/libcore.a
	@echo "  LINK    $@"
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(ARCH_LDFLAGS) -Wl,--wrap=dlopen -o $@ $^ -lcmocka \
		-Wl,-Bstatic,--start-group $(filter -l%,$(CORE_LIBS)) -lbz2 -Wl,--end-group,-Bdynamic -lm -pthread

.PHONY: emulated
emulated: static target $(EMU_BIN)
	$(Q)tests/emulated/run $(BUILD) $(EMU_BIN)
