// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The ELF files that a process has mapped: which they are, and how to open them though they may be replaced
 * or in a container. */
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf/elf_file.h"
#include "proc/mem.h"
#include "proc/slurp.h"
#include "symbol/image_priv.h"
#include "util/grow.h"
#include "util/pages.h"

#define VDSO	    "[vdso]"
#define FIRST_BYTES 4096 /* of a file, compared with memory */

static bool continues(const struct image_module *m, const struct proc_map *prev, const struct proc_map *map)
{
	return map->inode && map->inode == m->inode && map->dev == m->dev && map->offset > prev->offset;
}

static struct image_module *module_new(const struct proc_map *map)
{
	struct image_module *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->path = strdup(map->path);
	m->start = map->start;
	m->end = map->end;
	m->offset = map->offset;
	m->dev = map->dev;
	m->inode = map->inode;
	m->fd = m->debug_fd = -1;
	if (!m->path) {
		module_free(m);
		return NULL;
	}
	return m;
}

/* A module is a run of mappings of one file with rising offsets, one of which at least can be executed. */
int modules_scan(const struct proc_maps *maps, struct image_module ***ret, size_t *n)
{
	const struct proc_map *prev = NULL;
	struct image_module *m = NULL;
	bool code = false;

	*ret = NULL;
	*n = 0;
	for (size_t i = 0; i < maps->n; i++) {
		const struct proc_map *map = &maps->v[i];

		if (!map->path || (!map->inode && strcmp(map->path, VDSO) != 0))
			continue;
		if (!m || !continues(m, prev, map)) {
			if (m && !code) {
				module_free(m);
				(*n)--;
			}
			m = GROW(ret, *n) ? NULL : module_new(map);
			if (!m) {
				modules_free(*ret, *n);
				return -ENOMEM;
			}
			(*ret)[(*n)++] = m;
			code = false;
		}
		m->end = map->end;
		code |= (map->perms & PROC_X) != 0;
		prev = map;
	}
	if (m && !code) {
		module_free(m);
		(*n)--;
	}
	return 0;
}

bool module_same(const struct image_module *a, const struct image_module *b)
{
	return a->start == b->start && a->end == b->end && a->dev == b->dev && a->inode == b->inode &&
	       a->offset == b->offset && !strcmp(a->path, b->path);
}

void module_free(struct image_module *m)
{
	if (!m)
		return;
	if (m->fd >= 0)
		close(m->fd);
	if (m->debug_fd >= 0)
		close(m->debug_fd);
	unit_indexes_free(m->units);
	free(m->path);
	free(m->build_id);
	free(m->file);
	free(m->debug_file);
	free(m->copy);
	free(m);
}

void modules_free(struct image_module **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		module_free(v[i]);
	free(v);
}

/*
 * The path names the mapped file and not another that took its place: same inode, and the first bytes as in
 * memory. (The device may differ: overlayfs and btrfs show another one in maps than in stat.)
 */
static bool is_mapped_file(const struct image_module *m, pid_t pid, int fd)
{
	char mem[FIRST_BYTES], file[FIRST_BYTES];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) || st.st_ino != m->inode || m->offset)
		return false;
	n = pread(fd, file, sizeof(file), 0);
	return n > 0 && proc_mem_read(pid, m->start, mem, (size_t)n) == n && !memcmp(mem, file, (size_t)n);
}

static int open_file(struct image_module *m, const struct image *im)
{
	const struct proc_map *first = proc_maps_find(&im->maps, m->start);

	if (first && asprintf(&m->file, "/proc/%d/map_files/%jx-%jx", (int)im->pid, (uintmax_t)first->start,
			      (uintmax_t)first->end) >= 0) {
		m->fd = open(m->file, O_RDONLY | O_CLOEXEC);
		if (m->fd >= 0)
			return 0;
		free(m->file);
	}
	/* not root, or a kernel that wants more for map_files */
	if (asprintf(&m->file, "/proc/%d/root%s", (int)im->pid, m->path) < 0) {
		m->file = NULL;
		return -ENOMEM;
	}
	m->fd = open(m->file, O_RDONLY | O_CLOEXEC);
	if (m->fd >= 0 && is_mapped_file(m, im->pid, m->fd))
		return 0;
	if (m->fd >= 0)
		close(m->fd);
	m->fd = -1;
	return -ENOENT;
}

/* libdwfl takes the module's start for the first PT_LOAD's p_vaddr & -p_align. Any one mapping gives the
 * bias. */
static void find_low(struct image_module *m, Elf *elf)
{
	bool first = true, placed = false;
	uint64_t vaddr = 0, bias = 0;
	GElf_Phdr ph;
	size_t n;

	m->low = m->start;
	if (elf_getphdrnum(elf, &n))
		return;
	for (size_t i = 0; i < n; i++) {
		if (!gelf_getphdr(elf, (int)i, &ph) || ph.p_type != PT_LOAD)
			continue;
		if (first)
			vaddr = ph.p_align > 1 ? ph.p_vaddr & -ph.p_align : ph.p_vaddr;
		first = false;
		if (!placed && m->offset >= (ph.p_offset & -page_size()) &&
		    m->offset < ph.p_offset + ph.p_filesz) {
			bias = m->start - (ph.p_vaddr + (m->offset - ph.p_offset));
			placed = true;
		}
	}
	if (placed)
		m->low = bias + vaddr;
}

static void open_debuginfo(struct image_module *m, const struct elf_file *f, const char *dir)
{
	struct elf_debug *d = malloc(sizeof(*d));

	if (!d)
		return;
	elf_find_debug(f, dir, d);
	if (d->state == ELF_DEBUG_FOUND) {
		m->debug_fd = open(d->path, O_RDONLY | O_CLOEXEC);
		m->debug_file = strdup(d->path);
	}
	free(d);
}

static void open_vdso(struct image_module *m, pid_t pid)
{
	m->low = m->start;
	m->copy_len = m->end - m->start;
	m->copy = malloc(m->copy_len);
	if (m->copy && proc_mem_read(pid, m->start, m->copy, m->copy_len) == (ssize_t)m->copy_len)
		return;
	free(m->copy);
	m->copy = NULL;
}

void module_open(struct image_module *m, struct image *im)
{
	struct elf_file *f;
	const char *id;

	m->im = im;
	if (!m->inode) {
		open_vdso(m, im->pid);
		return;
	}
	if (open_file(m, im))
		return;
	if (elf_file_open(&f, m->file, NULL)) {
		close(m->fd);
		m->fd = -1;
		return;
	}
	id = elf_file_build_id_hex(f);
	m->build_id = *id ? strdup(id) : NULL;
	find_low(m, elf_file_elf(f));
	open_debuginfo(m, f, im->debuginfo_dir);
	elf_file_close(f);
}

static int find_elf(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr base, char **file_name,
		    Elf **elfp)
{
	struct image_module *m = *userdata;

	(void)mod;
	(void)name;
	(void)base;
	*file_name = NULL;
	if (m->copy) {
		*elfp = elf_memory(m->copy, m->copy_len);
		return -1;
	}
	*file_name = m->fd >= 0 ? strdup(m->file) : NULL;
	return m->fd >= 0 ? fcntl(m->fd, F_DUPFD_CLOEXEC, 3) : -1;
}

static int find_debuginfo(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr base,
			  const char *file_name, const char *link, GElf_Word crc, char **debuginfo_name)
{
	struct image_module *m = *userdata;

	(void)mod;
	(void)name;
	(void)base;
	(void)file_name;
	(void)link;
	(void)crc;
	*debuginfo_name = m->debug_fd >= 0 ? strdup(m->debug_file) : NULL;
	return m->debug_fd >= 0 ? fcntl(m->debug_fd, F_DUPFD_CLOEXEC, 3) : -1;
}

const Dwfl_Callbacks module_callbacks = {.find_elf = find_elf, .find_debuginfo = find_debuginfo};

static bool elf_has_symtab(Elf *elf)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;

	while (elf && (scn = elf_nextscn(elf, scn))) {
		if (gelf_getshdr(scn, &sh) && sh.sh_type == SHT_SYMTAB)
			return true;
	}
	return false;
}

Dwfl_Module *module_dwfl(struct image_module *m)
{
	GElf_Addr bias;
	Dwarf *dw;
	Elf *elf;

	if (!m->dwfl || (m->fd < 0 && !m->copy))
		return NULL;
	elf = dwfl_module_getelf(m->dwfl, &bias);
	if (!elf)
		return NULL;
	if (!m->symtab_known) {
		dw = dwfl_module_getdwarf(m->dwfl, &bias);
		m->has_symtab = elf_has_symtab(elf) || (dw && elf_has_symtab(dwarf_getelf(dw)));
		m->symtab_known = true;
	}
	return m->dwfl;
}

uint64_t module_bias(struct image_module *m)
{
	GElf_Addr bias = 0;

	if (m->dwfl && (m->fd >= 0 || m->copy) && dwfl_module_getelf(m->dwfl, &bias))
		return bias;
	/* no file: offsets count from the first mapping, as in a file that is linked at 0 */
	return m->start - m->offset;
}
