# Fuzz targets (libFuzzer): one program per reader of foreign bytes, with seeds in tests/fuzz/corpus/NAME. What a run finds
# worth keeping goes to build/fuzz/corpus/NAME, never into the tree.
FUZZ_SECONDS ?= 60
FUZZ_RUNS  ?= 2000
FUZZ_CC    := $(CLANG)
FUZZ_SAN   := -fsanitize=address,undefined -fno-sanitize-recover=undefined
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BIN   := $(FUZZ_NAMES:%=$(BUILD)/fuzz/%)
FUZZ_OBJ   := $(CORE_SRC:%.c=$(BUILD)/fuzz/obj/%.o)

.PHONY: fuzz fuzz-smoke fuzz-build

$(BUILD)/fuzz/obj/%.o: %.c
	@echo "  CC(fuzz) $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(ALL_CFLAGS) -O1 -gline-tables-only -fsanitize=fuzzer-no-link $(FUZZ_SAN) -MMD -MP -c -o $@ $<

$(BUILD)/fuzz/obj/user/proc/syscall_names.o: $(BUILD)/gen/syscall_names.inc
$(BUILD)/fuzz/obj/user/spec/builtin.o: $(BUILD)/gen/zbs.spec.inc

$(BUILD)/fuzz/libcore.a: $(FUZZ_OBJ)

$(BUILD)/fuzz/%: $(BUILD)/fuzz/obj/tests/fuzz/fuzz_%.o $(BUILD)/fuzz/libcore.a
	@echo "  LINK    $@"
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer $(FUZZ_SAN) -o $@ $^ $(CORE_LIBS)

fuzz-build: $(FUZZ_BIN)

fuzz: fuzz-build
	$(Q)tests/fuzz/run $(BUILD)/fuzz $(FUZZ_SECONDS) $(FUZZ_NAMES)

# the seeds, and some inputs made of them: the same ones each time
fuzz-smoke: fuzz-build
	$(Q)tests/fuzz/run $(BUILD)/fuzz runs=$(FUZZ_RUNS) $(FUZZ_NAMES)
