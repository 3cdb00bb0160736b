# Helpers of the kernel tests, below build/tests.
KTEST := $(BUILD)/tests

$(KTEST)/%.bpf.o: tests/kernel/%.bpf.c
	@echo "  BPF     $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<

$(KTEST)/stackcopy: $(BUILD)/obj/tests/kernel/stackcopy.o
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(TRACE_LIBS)

$(KTEST)/stackdump $(KTEST)/sitedump $(KTEST)/typedump: $(KTEST)/%: $(BUILD)/obj/tests/kernel/%.o $(BUILD)/libcore.a
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(CORE_LIBS)

# as a daemon is shipped: optimised, no frame pointers, stripped, debuginfo beside it
$(KTEST)/stacks_target: tests/kernel/stacks_target.cc
	$(Q)mkdir -p $(@D)/.debug
	$(Q)$(CXX) -std=c++17 -O2 -g -fomit-frame-pointer -Wall -Wextra -o $@.full $< -pthread
	$(Q)objcopy --only-keep-debug $@.full $(@D)/.debug/stacks_target.debug
	$(Q)objcopy --strip-all --add-gnu-debuglink=$(@D)/.debug/stacks_target.debug $@.full $@

kernel-helpers: $(KTEST)/typedump $(KTEST)/stackcopy $(KTEST)/stackcopy.bpf.o $(KTEST)/stackdump $(KTEST)/sitedump $(KTEST)/stacks_target

$(KTEST)/watchtool: $(BUILD)/obj/tests/kernel/watchtool.o $(BUILD)/libtrace.a $(BUILD)/libcore.a
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(TRACE_LIBS) $(CORE_LIBS)

$(KTEST)/watchprog: tests/kernel/watchprog.cc
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) -std=c++17 -O2 -g -fomit-frame-pointer -Wall -Wextra -Werror -pthread -o $@ $<

kernel-helpers: $(KTEST)/watchtool $(KTEST)/watchprog

# optimised and without frame pointers, as the daemons it stands for
$(KTEST)/blockers: tests/kernel/blockers.c
	@echo "  CC      $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE $(WARN) -O2 -g -fomit-frame-pointer -pthread -MMD -MP -o $@ $<

$(KTEST)/chains $(KTEST)/hops: $(KTEST)/%: tests/kernel/%.c
	@echo "  CC      $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE $(WARN) -O2 -g -fomit-frame-pointer -pthread -MMD -MP -o $@ $<

# protobuf's classes as of 2.5 and of 3.0, by hand; strings of the old ABI and of today's
$(KTEST)/legacy_rpc_0 $(KTEST)/legacy_rpc_1: $(KTEST)/legacy_rpc_%: tests/kernel/legacy_rpc.cc
	@echo "  CXX     $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) -std=gnu++11 -O2 -g -D_GLIBCXX_USE_CXX11_ABI=$* -Wall -Wextra -o $@ $<

kernel-helpers: $(KTEST)/blockers $(KTEST)/chains $(KTEST)/hops $(KTEST)/legacy_rpc_0 $(KTEST)/legacy_rpc_1

# protobuf 2.5's layout and its strings, by hand
$(KTEST)/legacy_chunk: tests/kernel/legacy_chunk.cc
	@echo "  CXX     $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) -std=gnu++98 -O2 -g -gdwarf-4 -D_GLIBCXX_USE_CXX11_ABI=0 -Wall -Wextra -o $@ $<

$(KTEST)/heap_objects: tests/kernel/heap_objects.cc
	@echo "  CXX     $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) -std=c++17 -O2 -g -Wall -Wextra -pthread -o $@ $<

kernel-helpers: $(KTEST)/legacy_chunk $(KTEST)/heap_objects

# messages held in all the ways there are
$(KTEST)/holders: tests/kernel/holders.cc tests/kernel/holders.proto
	@echo "  CXX     $<"
	$(Q)mkdir -p $(@D)/holders.gen
	$(Q)$(PROTOC) -I tests/kernel --cpp_out=$(@D)/holders.gen tests/kernel/holders.proto
	$(Q)$(CXX) -std=c++17 -O2 -g -fomit-frame-pointer -Wall -Wextra -Werror -pthread -I$(@D)/holders.gen -o $@ $< \
		$(@D)/holders.gen/holders.pb.cc -lprotobuf

kernel-helpers: $(KTEST)/holders

# for the test machine, too, which has no libraries of this one's
$(KTEST)/stuckcalls: tests/kernel/stuckcalls.c
	@echo "  CC      $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE $(WARN) -O2 -g -static -pthread -MMD -MP -o $@ $<

kernel-helpers: $(KTEST)/stuckcalls

# the same with the messages in a library, which the program is linked with
$(KTEST)/libheld.so: $(KTEST)/holders
	$(Q)$(CXX) -std=c++17 -O2 -g -fomit-frame-pointer -fPIC -shared -I$(@D)/holders.gen -o $@ $(@D)/holders.gen/holders.pb.cc -lprotobuf

$(KTEST)/holders_shared: tests/kernel/holders.cc $(KTEST)/libheld.so
	@echo "  CXX     $@"
	$(Q)$(CXX) -std=c++17 -O2 -g -fomit-frame-pointer -Wall -Wextra -Werror -pthread -I$(@D)/holders.gen -o $@ $< \
		-L$(@D) -lheld -lprotobuf -Wl,-rpath,'$$ORIGIN'

# a program that knows nothing of the messages: a plugin holds them, loaded at the start or later
$(KTEST)/plugin.so: tests/kernel/plugin.cc $(KTEST)/holders
	@echo "  CXX     $@"
	$(Q)$(CXX) -std=c++17 -O2 -g -fomit-frame-pointer -Wall -Wextra -Werror -fPIC -shared -I$(@D)/holders.gen -o $@ $< \
		$(@D)/holders.gen/holders.pb.cc -lprotobuf

$(KTEST)/plugin_host: tests/kernel/plugin_host.cc
	@echo "  CXX     $@"
	$(Q)$(CXX) -std=c++17 -O2 -g -fomit-frame-pointer -Wall -Wextra -Werror -o $@ $< -ldl

# the messages in a library that is there from the start, and a plugin that uses it: it has their setters inlined
$(KTEST)/plugin_user.so: tests/kernel/plugin.cc $(KTEST)/libheld.so
	@echo "  CXX     $@"
	$(Q)$(CXX) -std=c++17 -O2 -g -femit-class-debug-always -fomit-frame-pointer -Wall -Wextra -Werror -fPIC -shared -I$(@D)/holders.gen \
		-o $@ $< -L$(@D) -lheld -lprotobuf

$(KTEST)/plugin_host_held: tests/kernel/plugin_host.cc $(KTEST)/libheld.so
	@echo "  CXX     $@"
	$(Q)$(CXX) -std=c++17 -O2 -g -fomit-frame-pointer -Wall -Wextra -Werror -o $@ $< -ldl -L$(@D) -Wl,--no-as-needed -lheld -lprotobuf \
		-Wl,-rpath,'$$ORIGIN'

kernel-helpers: $(KTEST)/holders_shared $(KTEST)/plugin.so $(KTEST)/plugin_host $(KTEST)/plugin_user.so $(KTEST)/plugin_host_held

$(KTEST)/rpcload: tests/kernel/rpcload.c
	@echo "  CC      $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE $(WARN) -O2 -g -fomit-frame-pointer -pthread -MMD -MP -o $@ $<

kernel-helpers: $(KTEST)/rpcload
