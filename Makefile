# culprit: everything is built below build/. `make help` lists the targets.
include tools/arch.mk
BUILD   ?= build
CC      ?= gcc
CLANG   ?= clang
CXX     ?= g++
BPFTOOL ?= bpftool
PYTHON  ?= /usr/bin/python3
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)
HOSTCC  ?= gcc
OBJCOPY ?= objcopy

WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wformat=2 \
           -Wundef -Wvla -Wwrite-strings -Wno-missing-field-initializers
CFLAGS  ?= -O2 -g
ALL_CFLAGS := -std=gnu11 -D_GNU_SOURCE $(WARN) -Iuser -Ibpf/arch/$(ARCH) -I$(BUILD)/bpf -I$(BUILD)/gen -I. $(ARCH_CFLAGS) -fno-omit-frame-pointer $(CFLAGS)
CORE_LIBS  := -pthread -ldw -lelf -ljansson -lcapstone -liberty -lnghttp2 -llzma -ldeflate -lzstd -lcap -lsqlite3 -lz
TRACE_LIBS := -lbpf
BPF_CFLAGS := -g -O2 -target bpf -mcpu=v2 -D__TARGET_ARCH_$(BPF_ARCH) -D__bpf__ -Wall -Wextra -Werror -Wno-unused-parameter \
              -Wno-address-of-packed-member -Ivmlinux/$(ARCH) -I. -Ibpf -Ibpf/arch/$(ARCH) -include bpf/lib/compat.bpf.h

# Pure modules: no libbpf. Unit tests link libcore.a without -lbpf, so a stray call fails the build.
CORE_DIRS := util arch arch/$(ARCH) doctor elf dwarf profile layout proc spec framing plan unwind symbol sock writes story heap log stalls space find inspect report store join replay
CORE_SRC  := $(wildcard $(CORE_DIRS:%=user/%/*.c))
TRACE_SRC := $(wildcard user/trace/*.c)
CMD_SRC   := user/main.c $(wildcard user/cmd/*.c)
BPF_SRC   := $(wildcard bpf/*.bpf.c)

obj        = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
CORE_OBJ  := $(call obj,$(CORE_SRC))
TRACE_OBJ := $(call obj,$(TRACE_SRC))
CMD_OBJ   := $(call obj,$(CMD_SRC))
BPF_OBJ   := $(patsubst bpf/%,$(BUILD)/bpf/%,$(BPF_SRC:.c=.o))
SKELS     := $(patsubst bpf/%.bpf.c,$(BUILD)/bpf/%.skel.h,$(BPF_SRC))

include tools/btf.mk

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all clean help check demo bench unit kernel-tests format format-check analyze deps target

.DEFAULT_GOAL := all
all: $(BUILD)/culprit

help:
	@echo "make            build/culprit"
	@echo "make static     build/culprit-static, one file that runs on any x86-64 node"
	@echo "make ARCH=aarch64 static    build/aarch64/culprit-static for aarch64 nodes (tools/install-deps.sh arm64)"
	@echo "make ARCH=aarch64 emulated  its tests, in qemu-user"
	@echo "make dist       tarball and .deb of the static binary with manual, specs, documents and SHA256SUMS"
	@echo "make target     build/target, the test daemon"
	@echo "make demo       install, build, catch both planted incidents (root)"
	@echo "make check      install, build, run all tests (root)"
	@echo "make unit       unit tests only (no root)"
	@echo "make bench      what it costs, against bpftrace, perf, strace and the unprobed target (root)"
	@echo "make bench-vm   what following calls costs by fentry, kprobes and tracepoints, in instructions of an emulated machine"
	@echo "make vmtest     the tests on other kernels, in qemu (downloads them once)"
	@echo "make fuzz       fuzz targets, FUZZ_SECONDS (60) each"
	@echo "make analyze    clang-format, clang's warnings, clang-tidy"

$(BUILD)/culprit: $(CMD_OBJ) $(BUILD)/libtrace.a $(BUILD)/libcore.a
	@echo "  LINK    $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(ARCH_LDFLAGS) $(LDFLAGS) -o $@ $^ $(TRACE_LIBS) $(CORE_LIBS)

$(BUILD)/libcore.a: $(CORE_OBJ)
$(BUILD)/libtrace.a: $(TRACE_OBJ) $(BUILTIN_BTF)
$(BUILD)/%.a:
	@echo "  AR      $@"
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(TRACE_OBJ) $(CMD_OBJ): $(SKELS)

# Names of system calls come from the kernel headers of the machine that builds.
$(BUILD)/gen/syscall_names.inc:
	$(Q)mkdir -p $(@D)
	$(Q)echo '#include <sys/syscall.h>' | $(CC) $(ARCH_CFLAGS) -E -dM - | sed -n 's/^#define __NR_\([a-z0-9_]*\) .*/X(\1)/p' | \
		grep -v '^X(syscalls)$$' | sort > $@

$(BUILD)/obj/user/proc/syscall_names.o $(BUILD)/san/user/proc/syscall_names.o: $(BUILD)/gen/syscall_names.inc

# The built-in specs are files too: one string each.
$(BUILD)/gen/%.spec.inc: specs/%.spec
	$(Q)mkdir -p $(@D)
	$(Q)sed 's/[\\"]/\\&/g; s/.*/"&\\n"/' $< > $@

$(BUILD)/obj/user/spec/builtin.o $(BUILD)/san/user/spec/builtin.o: $(BUILD)/gen/zbs.spec.inc

$(BUILD)/obj/%.o: %.c
	@echo "  CC      $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c
	@echo "  BPF     $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MT $@ -c -o $(@:.bpf.o=.tmp.o) $<
	$(Q)$(BPFTOOL) gen object $@ $(@:.bpf.o=.tmp.o)

$(BUILD)/bpf/%.skel.h: $(BUILD)/bpf/%.bpf.o
	@echo "  SKEL    $@"
	$(Q)$(BPFTOOL) gen skeleton $< name $(subst .,_,$*)_bpf > $@

clean:
	rm -rf $(BUILD)

deps:
	tools/install-deps.sh

include tools/static.mk tests/tests.mk

-include $(shell find $(BUILD) -path $(BUILD)/aarch64 -prune -o -path $(BUILD)/sysroot -prune -o -name '*.d' -print 2>/dev/null)
