/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One ELF file: what it is (build-id, position independent or not), where its bytes stand, its symbols, and
 * where its debuginfo is. All addresses are virtual addresses as the file states them ("vaddr"); a live
 * address is vaddr + load bias.
 */
#ifndef CULPRIT_ELF_FILE_H
#define CULPRIT_ELF_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <libelf.h>

#include "util/err.h"

#define ELF_BUILD_ID_MAX 64

struct elf_file;

/*
 * path may be /proc/PID/exe, /proc/PID/map_files/... or below /proc/PID/root; then debuginfo is searched
 * beside the file the link names, in that process's root first. -ENOENT, -EACCES..., -ENOEXEC (no 64-bit
 * little-endian ELF).
 */
int elf_file_open(struct elf_file **ret, const char *path, struct err *err);
void elf_file_close(struct elf_file *f); /* NULL is fine */

const char *elf_file_path(const struct elf_file *f);
/* Name to show: the link's target for /proc/PID/exe, without "/proc/PID/root". */
const char *elf_file_name(const struct elf_file *f);
Elf *elf_file_elf(const struct elf_file *f);	/* owned by f */
bool elf_file_is_pie(const struct elf_file *f); /* ET_DYN: addresses need the load bias */
/* Bytes of the build-id, 0 if there is none; *id is owned by f. */
size_t elf_file_build_id(const struct elf_file *f, const uint8_t **id);
/* The same in hex; "" if there is none. */
const char *elf_file_build_id_hex(const struct elf_file *f);
/* Lowest p_vaddr of the loadable segments, page aligned: load bias = start of the first mapping - this. */
uint64_t elf_file_base(const struct elf_file *f);

/* By PT_LOAD. false: no such byte in the file. */
bool elf_vaddr_to_offset(const struct elf_file *f, uint64_t vaddr, uint64_t *offset);
bool elf_offset_to_vaddr(const struct elf_file *f, uint64_t offset, uint64_t *vaddr);
/* len bytes of the file at vaddr, NULL if not all of them are in one segment's file image. Owned by f. */
const uint8_t *elf_bytes(const struct elf_file *f, uint64_t vaddr, size_t len);
/* How many bytes of file image follow from vaddr in its segment (0: none). */
size_t elf_bytes_left(const struct elf_file *f, uint64_t vaddr);
bool elf_vaddr_is_code(const struct elf_file *f, uint64_t vaddr);

struct elf_sym {
	const char *name; /* as in the file, mangled, version cut off; owned by the file */
	uint64_t vaddr, size;
	uint8_t type, bind; /* STT_*, STB_* */
	bool defined;
	bool owned; /* name was copied by the elf_file that lists it */
};
/* .symtab if the file has one, else .gnu_debugdata's with .dynsym, else .dynsym. fn returns non-zero to stop;
 * that value is returned. */
int elf_for_each_symbol(const struct elf_file *f, int (*fn)(void *ctx, const struct elf_sym *sym), void *ctx);
/* Same for .dynsym only: what other modules can see. */
int elf_for_each_dynsym(const struct elf_file *f, int (*fn)(void *ctx, const struct elf_sym *sym), void *ctx);
/* First defined symbol of exactly this name. -ENOENT. */
int elf_symbol(const struct elf_file *f, const char *name, struct elf_sym *ret);
int elf_dynsym(const struct elf_file *f, const char *name, struct elf_sym *ret);

uint16_t elf_file_machine(const struct elf_file *f); /* e_machine */
/* Name of the symbol a PLT stub at vaddr jumps to; NULL if there is no such stub. x86_64 and aarch64. */
const char *elf_plt_symbol(const struct elf_file *f, uint64_t vaddr);

enum elf_debug_state {
	ELF_DEBUG_SELF,	    /* the file itself has .debug_info */
	ELF_DEBUG_FOUND,    /* separate file, build-id or CRC checked */
	ELF_DEBUG_NONE,	    /* nothing was found */
	ELF_DEBUG_MISMATCH, /* a file was found but belongs to another build; nothing better was found */
};

struct elf_debug {
	enum elf_debug_state state;
	char path[4096];   /* SELF: the file's own path; FOUND and MISMATCH: the separate file's */
	char reason[2048]; /* NONE, MISMATCH: every place looked at and what was wrong there, for the error
			      message */
};
/*
 * Places in this order: debuginfo (a file, or a directory: its build-id tree, the link's name and the file's
 * name in it; or several with ':' between them), the file itself, .gnu_debuglink (same directory, .debug/,
 * /usr/lib/debug/DIR), /usr/lib/debug/.build-id. debuginfo may be NULL. A candidate counts if its build-id is
 * the same; without build-ids the CRC of .gnu_debuglink decides.
 */
void elf_find_debug(const struct elf_file *f, const char *debuginfo, struct elf_debug *ret);
const char *elf_debug_state_name(enum elf_debug_state s);

#endif
