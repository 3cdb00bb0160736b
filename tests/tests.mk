# Tests. Unit tests are built with ASan and UBSan from the same sources as libcore.a and need no root.
SAN       := -fsanitize=address,undefined -fno-sanitize-recover=undefined
UNIT_SRC  := $(wildcard tests/unit/test_*.c)
UNIT_BIN  := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(UNIT_SRC))
SAN_OBJ   := $(patsubst %.c,$(BUILD)/san/%.o,$(CORE_SRC))

# the sanitizers' rewriting makes gcc see truncations that cannot happen
$(BUILD)/san/%.o: %.c
	@echo "  CC(san) $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -O1 $(SAN) -Wno-format-truncation -MMD -MP -c -o $@ $<

$(BUILD)/libcore-san.a: $(SAN_OBJ)

$(BUILD)/unit/%: $(BUILD)/san/tests/unit/%.o $(BUILD)/libcore-san.a
	@echo "  LINK    $@"
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(SAN) -o $@ $^ -lcmocka $(CORE_LIBS)

unit: $(UNIT_BIN)
	$(Q)tests/run-unit $(UNIT_BIN)

-include tests/target/target.mk tests/kernel/kernel.mk tests/setters/setters.mk tests/vm/vm.mk tests/bench/bench.mk
include tests/emulated/emulated.mk tests/analyze.mk tests/fuzz/fuzz.mk

check:
	$(Q)tools/install-deps.sh
	$(Q)$(MAKE) -s -j2 all target kernel-helpers
	$(Q)tests/check $(CHECK_ARGS)

demo:
	$(Q)tools/install-deps.sh build
	$(Q)$(MAKE) -s -j2 all target
	$(Q)tools/demo
-include tests/fixtures/fixtures.mk
