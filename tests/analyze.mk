# Static checks: formatting, clang's warnings and clang-tidy over everything in user/. Every finding is an error. Slow
# on few cores, so what was clean is not looked at again until it or a header of its changes.
ANALYZE_SRC   := $(CORE_SRC) $(TRACE_SRC) $(CMD_SRC)
# what is generated is not ours to warn about
ANALYZE_FLAGS := $(patsubst -I$(BUILD)/%,-isystem $(BUILD)/%,$(ALL_CFLAGS))
# libbpf takes over what is handed to it, which the analyzer never believes of a system header
TIDY_FLAGS    := $(filter-out -Werror,$(ANALYZE_FLAGS)) --no-system-header-prefix=bpf/
FORMATTED     := $(wildcard user/*.c user/*/*.[ch] user/*/*/*.[ch] bpf/*.c bpf/*/*.h bpf/*/*/*.h tests/unit/*.[ch] tests/unit/*/*.h tests/fuzz/*.[ch] tools/*.c)

.PHONY: tidy

format:
	$(Q)clang-format -i $(FORMATTED)

format-check:
	$(Q)clang-format --dry-run -Werror $(FORMATTED)

$(BUILD)/tidy/%.ok: %.c .clang-tidy $(BUILD)/gen/syscall_names.inc $(BUILD)/gen/zbs.spec.inc | $(SKELS)
	@echo "  TIDY    $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(ANALYZE_FLAGS) -fsyntax-only -MD -MP -MT $@ -MF $(@:.ok=.d) $<
	$(Q)clang-tidy --quiet $< -- $(TIDY_FLAGS) >$@.log 2>/dev/null || { cat $@.log; exit 1; }
	$(Q)mv $@.log $@

tidy: $(ANALYZE_SRC:%.c=$(BUILD)/tidy/%.ok)

analyze: format-check tidy
