# The setters' test program in the builds whose inlining differs, and once with setters that log who called them.
ST      := $(BUILD)/setters
STFLAGS := -std=c++17 -g -fomit-frame-pointer -Wall -Wextra -I$(ST)
# nearest to what gcc 4.8 tells of its code
ST_OLD  := -gdwarf-4 -gno-statement-frontiers -gno-inline-points -gno-variable-location-views

$(ST)/rec.pb.cc: tests/setters/rec.proto
	@echo "  PROTOC  $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(PROTOC) -I tests/setters --cpp_out=$(@D) $<

$(ST)/truth/rec.pb.h: $(ST)/rec.pb.cc tests/setters/truth.py
	$(Q)mkdir -p $(@D)
	$(Q)tests/setters/truth.py $(ST)/rec.pb.h $@

# setters_build(name, compiler and its flags)
define setters_build
$(ST)/$(1): tests/setters/prog.cc $(ST)/rec.pb.cc
	@echo "  CXX     $$@"
	$$(Q)$(2) $(STFLAGS) -o $$@ $$^ -lprotobuf
setters: $(ST)/$(1)
endef
$(eval $(call setters_build,gcc,$(CXX) -O2))
$(eval $(call setters_build,old,$(CXX) -O2 $(ST_OLD)))
$(eval $(call setters_build,clang,$(CLANG)++ -O2))

# the program only declares the messages, which a library defines
$(ST)/librec.so: $(ST)/rec.pb.cc
	@echo "  CXX     $@"
	$(Q)$(CXX) -O2 -fPIC -shared $(STFLAGS) -o $@ $^ -lprotobuf
$(ST)/declared: tests/setters/prog.cc $(ST)/librec.so
	@echo "  CXX     $@"
	$(Q)$(CXX) -O2 $(STFLAGS) -o $@ $< -L$(@D) -lrec -lprotobuf -Wl,-rpath,'$$ORIGIN'
setters: $(ST)/declared

# -fno-access-control: it damages private members
$(ST)/acts: tests/setters/acts.cc $(ST)/rec.pb.cc
	@echo "  CXX     $@"
	$(Q)$(CXX) -O2 -fno-access-control -Wno-class-memaccess $(STFLAGS) -pthread -o $@ $^ -lprotobuf
setters: $(ST)/acts

$(ST)/legacy: tests/setters/legacy.cc tests/setters/legacy.h
	@echo "  CXX     $@"
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) -std=gnu++98 -O2 -g -gdwarf-4 -fomit-frame-pointer -D_GLIBCXX_USE_CXX11_ABI=0 -Wall -Wextra -pthread -o $@ $<
setters: $(ST)/legacy

$(ST)/logging: tests/setters/prog.cc $(ST)/truth/rec.pb.h $(ST)/rec.pb.cc
	@echo "  CXX     $@"
	$(Q)$(CXX) -I$(ST)/truth -O0 -DST_TRUTH $(STFLAGS) -o $@ tests/setters/prog.cc $(ST)/rec.pb.cc -lprotobuf

$(ST)/tool: $(BUILD)/obj/tests/setters/tool.o $(BUILD)/libtrace.a $(BUILD)/libcore.a
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(TRACE_LIBS) $(CORE_LIBS)

setters: $(ST)/logging $(ST)/tool
.PHONY: setters
kernel-helpers: setters
