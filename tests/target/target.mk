# The test daemon, compiled the way the daemons of the incidents are: -O2 -g -fomit-frame-pointer, no LTO, debuginfo split off
# into $(BUILD)/.debug/target.debug (found through .gnu_debuglink), then stripped.
PROTOC     ?= protoc
OBJCOPY    ?= objcopy
TARGET_DIR := tests/target
TARGET_SRC := $(wildcard $(TARGET_DIR)/*.cc $(TARGET_DIR)/*/*.cc)
TARGET_PB  := zbs meta
TARGET_CXXFLAGS := -std=c++17 -O2 -g -fomit-frame-pointer -Wall -Wextra -Werror -Wshadow -pthread $(ARCH_CFLAGS)
ifeq ($(ARCH),aarch64)
TARGET_CXXFLAGS += -mbranch-protection=standard # as distributions begin to: return addresses stand signed on the stack
endif

# target_build(directory below BUILD, extra flags): rules for one flavour of the daemon.
define target_build
$(1)_GEN := $$(TARGET_PB:%=$$(BUILD)/$(1)/gen/%.pb.cc)
$(1)_OBJ := $$(TARGET_SRC:$$(TARGET_DIR)/%.cc=$$(BUILD)/$(1)/%.o) $$(TARGET_PB:%=$$(BUILD)/$(1)/gen/%.pb.o)

# protobuf 2.5, as in the incident, lets a class derive from a message, and CachedLease does. 3.21 says `final`.
$$(BUILD)/$(1)/gen/%.pb.cc: $$(TARGET_DIR)/%.proto
	@echo "  PROTOC  $$<"
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(PROTOC) -I $$(TARGET_DIR) --cpp_out=$$(@D) $$<
	$$(Q)sed -i 's/^class Lease final :/class Lease :/' $$(@:.cc=.h)

$$(BUILD)/$(1)/gen/%.pb.o: $$(BUILD)/$(1)/gen/%.pb.cc | $$($(1)_GEN)
	@echo "  CXX     $$<"
	$$(Q)$$(CXX) $$(TARGET_CXXFLAGS) $(2) -I$$(BUILD)/$(1)/gen -MMD -MP -c -o $$@ $$<

$$(BUILD)/$(1)/%.o: $$(TARGET_DIR)/%.cc | $$($(1)_GEN)
	@echo "  CXX     $$<"
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CXX) $$(TARGET_CXXFLAGS) $(2) -I$$(TARGET_DIR) -I$$(BUILD)/$(1)/gen -MMD -MP -c -o $$@ $$<

$$(BUILD)/$(1)/linked: $$($(1)_OBJ)
	@echo "  LINK    $$@"
	$$(Q)$$(CXX) $$(TARGET_CXXFLAGS) $(2) $(ARCH_LDFLAGS) -o $$@ $$^ -lprotobuf
endef

$(eval $(call target_build,target.obj,))
$(eval $(call target_build,target-tsan.obj,-fsanitize=thread))
$(eval $(call target_build,target-asan.obj,-fsanitize=address))

.PHONY: target target-sanitized

target: $(BUILD)/target

$(BUILD)/target: $(BUILD)/target.obj/linked
	@echo "  STRIP   $@"
	$(Q)mkdir -p $(BUILD)/.debug
	$(Q)$(OBJCOPY) --only-keep-debug $< $(BUILD)/.debug/target.debug
	$(Q)$(OBJCOPY) --strip-all --add-gnu-debuglink=$(BUILD)/.debug/target.debug $< $@

# Shows that the healthy daemon has neither data races nor memory errors.
target-sanitized: $(BUILD)/target-tsan.obj/linked $(BUILD)/target-asan.obj/linked
	$(Q)$(TARGET_DIR)/run-sanitized $(BUILD)/target-tsan.obj/linked 10
	$(Q)$(TARGET_DIR)/run-sanitized $(BUILD)/target-asan.obj/linked 5
