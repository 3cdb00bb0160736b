# Helpers of `make bench`, below build/bench.
BENCH      := $(BUILD)/bench
BENCH_META := libmeta/meta.o libmeta/chunk_table.o thread.o gen/zbs.pb.o

.PHONY: bench-helpers

# BENCH_RUNS: rounds, 5 by default. BENCH_ARGS: names of groups, see docs/bench.md.
bench:
	$(Q)tools/install-deps.sh bench || echo "bench: going on with the peers there are" >&2
	$(Q)$(MAKE) -s -j2 all target bench-helpers
	$(Q)$(PYTHON) tests/bench/bench.py $(BENCH_ARGS)

bench-helpers: $(BENCH)/touchloop $(BENCH)/probecost $(BENCH)/callloop $(BUILD)/tests/blockers $(BUILD)/tests/rpcload

# the daemon's own objects, compiled and stripped as it is
$(BENCH)/touchloop: tests/bench/touchloop.cc $(BENCH_META:%=$(BUILD)/target.obj/%)
	@echo "  CXX     $@"
	$(Q)mkdir -p $(@D)/.debug
	$(Q)$(CXX) $(TARGET_CXXFLAGS) -I$(TARGET_DIR) -I$(BUILD)/target.obj/gen -o $@.full $^ -lprotobuf
	$(Q)$(OBJCOPY) --only-keep-debug $@.full $(@D)/.debug/touchloop.debug
	$(Q)$(OBJCOPY) --strip-all --add-gnu-debuglink=$(@D)/.debug/touchloop.debug $@.full $@

$(BENCH)/%.bpf.o: tests/bench/%.bpf.c
	@echo "  BPF     $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<

$(BENCH)/%.skel.h: $(BENCH)/%.bpf.o
	@echo "  SKEL    $@"
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

$(BENCH)/probecost: tests/bench/probecost.c $(BENCH)/empty.skel.h $(BUILD)/libtrace.a $(BUILD)/libcore.a
	@echo "  CC      $<"
	$(Q)$(CC) $(ALL_CFLAGS) -I$(BENCH) -o $@ $< $(BUILD)/libtrace.a $(BUILD)/libcore.a $(TRACE_LIBS) $(CORE_LIBS)

$(BENCH)/callloop: tests/bench/callloop.c
	@echo "  CC      $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE $(WARN) -O2 -g -o $@ $<
