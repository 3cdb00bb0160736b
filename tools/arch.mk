# The machine that is built for: `make` for this one, `make ARCH=aarch64 TARGET` across, into build/aarch64, with Debian's cross
# compiler and the libraries that tools/aarch64-sysroot unpacks.
ARCH := x86_64
ifeq ($(ARCH),aarch64)
BUILD    ?= build/aarch64
CROSS    := aarch64-linux-gnu-
CC        = $(CROSS)gcc
CXX       = $(CROSS)g++
AR        = $(CROSS)ar
OBJCOPY   = $(CROSS)objcopy
BPF_ARCH := arm64
CLANG_TARGET := --target=aarch64-linux-gnu
SYSROOT  := $(BUILD)/sysroot
# uthash is the same on every machine, and installed on this one
ARCH_CFLAGS := -isystem $(SYSROOT)/usr/include -isystem $(SYSROOT)/usr/include/aarch64-linux-gnu -isystem $(BUILD)/include
ARCH_LDFLAGS := -L$(SYSROOT)/usr/lib/aarch64-linux-gnu -Wl,-rpath-link=$(SYSROOT)/lib/aarch64-linux-gnu
# what the compiler may not begin without: fetched before anything else
ARCH_READY := $(if $(filter help clean,$(MAKECMDGOALS)),,$(shell tools/aarch64-sysroot $(BUILD) >&2 && mkdir -p $(BUILD)/include && \
	ln -sf /usr/include/uthash.h /usr/include/utarray.h $(BUILD)/include/ && echo yes))
ifeq ($(ARCH_READY)$(filter help clean,$(MAKECMDGOALS)),)
$(error the aarch64 packages could not be had (see above))
endif
else ifeq ($(ARCH),x86_64)
BPF_ARCH := x86
else
$(error no support for $(ARCH))
endif
