# The static binary that goes to the nodes: everything inside, no library, no file beside it.
STATIC_SRC := $(wildcard user/static/*.c)
STATIC_OBJ := $(call obj,$(STATIC_SRC))

# capstone names every architecture in one table, which pulls all of them in (3 MB). Only x86 is opened here; the others' entries
# are made NULL, which cs_open answers with CS_ERR_ARCH.
CS_UNUSED  := ARM AArch64 Mips PPC Sparc SystemZ XCore M68K TMS320C64x M680X EVM
CS_DROP    := $(foreach a,$(CS_UNUSED),-Wl,--defsym=$(a)_global_init=0,--defsym=$(a)_option=0)
# what elfutils (compressed debug sections and images) and libbpf use in turn
STATIC_LIBS := $(TRACE_LIBS) $(CORE_LIBS) -lz -lbz2 -lzstd -lm
STATIC_LD   := -static -Wl,--gc-sections,--build-id,--wrap=dlopen,-z,noexecstack,-z,relro $(CS_DROP)
STATIC_MAX  := 8388608

.PHONY: static dist

static: $(BUILD)/culprit-static

$(BUILD)/culprit-static: $(CMD_OBJ) $(STATIC_OBJ) $(BUILD)/libtrace.a $(BUILD)/libcore.a
	@echo "  LINK    $@"
	$(Q)mkdir -p $(BUILD)/.debug
	$(Q)$(CC) $(ALL_CFLAGS) $(STATIC_LD) $(ARCH_LDFLAGS) $(LDFLAGS) -o $(BUILD)/.debug/culprit-static.debug $^ $(STATIC_LIBS)
	$(Q)$(OBJCOPY) --strip-all --add-gnu-debuglink=$(BUILD)/.debug/culprit-static.debug $(BUILD)/.debug/culprit-static.debug $@
	$(Q)test $$(stat -c %s $@) -le $(STATIC_MAX) || { echo "$@ is larger than $(STATIC_MAX) bytes" >&2; exit 1; }

# Tarball and .deb: the same bytes from the same sources, whoever packs them.
dist: $(BUILD)/culprit-static
	$(Q)tools/dist $(BUILD) $(ARCH)
