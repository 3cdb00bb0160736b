// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The ELF files of a space and their symbols. A file counts only if it is the one that was mapped. */
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/grow.h"
#include "space/space_priv.h"
#include "util/search.h"

#define MAX_NOTE 4096
#define MAX_BACK 64 /* symbols looked back for one that is long enough */

int modules_group(struct space *s)
{
	const struct proc_map *prev = NULL;

	for (size_t i = 0; i < s->maps.n; i++) {
		const struct proc_map *m = &s->maps.v[i];
		struct space_module *last = s->n_modules ? &s->module[s->n_modules - 1] : NULL;

		if (!m->path || m->path[0] != '/')
			continue;
		if (last && prev && !strcmp(last->path, m->path) && m->inode == prev->inode &&
		    m->offset > prev->offset) {
			last->end = m->end;
		} else if (m->offset == 0) {
			if (GROW(&s->module, s->n_modules))
				return -ENOMEM;
			s->module[s->n_modules++] =
				(struct space_module){.path = m->path, .start = m->start, .end = m->end};
		} else {
			prev = NULL;
			continue;
		}
		prev = m;
	}
	return 0;
}

void modules_close(struct space *s)
{
	for (size_t i = 0; i < s->n_modules; i++) {
		elf_file_close(s->module[i].file);
		free(s->module[i].symbol);
	}
	for (size_t i = 0; i < s->n_debug; i++)
		elf_file_close(s->debug[i]);
	free(s->debug);
	free(s->module);
}

static bool read_all(const struct space *s, uint64_t addr, void *buf, size_t len)
{
	return space_read(s, addr, buf, len) == (ssize_t)len;
}

static void note_build_id(struct space_module *m, const uint8_t *buf, size_t len)
{
	for (size_t at = 0; at + sizeof(Elf64_Nhdr) <= len;) {
		Elf64_Nhdr nh;
		size_t name, desc;

		memcpy(&nh, buf + at, sizeof(nh));
		name = at + sizeof(nh);
		desc = name + ((nh.n_namesz + 3ull) & ~3ull);
		if (desc > len || nh.n_descsz > len - desc)
			return;
		if (nh.n_type == NT_GNU_BUILD_ID && nh.n_namesz == 4 && !memcmp(buf + name, "GNU", 4) &&
		    nh.n_descsz && nh.n_descsz <= ELF_BUILD_ID_MAX) {
			for (size_t i = 0; i < nh.n_descsz; i++)
				sprintf(m->build_id + 2 * i, "%02x", buf[desc + i]);
			return;
		}
		at = desc + ((nh.n_descsz + 3ull) & ~3ull);
	}
}

/* From the ELF header as it stands in memory. false: there is none. */
static bool memory_build_id(const struct space *s, struct space_module *m)
{
	uint64_t low = UINT64_MAX;
	Elf64_Ehdr eh;
	Elf64_Phdr ph[64];

	if (!read_all(s, m->start, &eh, sizeof(eh)) || memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 ||
	    eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_phentsize != sizeof(ph[0]) || !eh.e_phnum ||
	    eh.e_phnum > sizeof(ph) / sizeof(ph[0]) ||
	    !read_all(s, m->start + eh.e_phoff, ph, eh.e_phnum * sizeof(ph[0])))
		return false;
	for (unsigned i = 0; i < eh.e_phnum; i++)
		if (ph[i].p_type == PT_LOAD && ph[i].p_vaddr < low)
			low = ph[i].p_vaddr & -SPACE_PAGE;
	for (unsigned i = 0; i < eh.e_phnum && !m->build_id[0]; i++) {
		uint8_t note[MAX_NOTE];

		if (ph[i].p_type != PT_NOTE || ph[i].p_memsz > sizeof(note) || ph[i].p_vaddr < low)
			continue;
		if (read_all(s, m->start + (ph[i].p_vaddr - low), note, ph[i].p_memsz))
			note_build_id(m, note, ph[i].p_memsz);
	}
	return true;
}

/* What a core names is not to make us open things that are no files on a disk, though they look like regular
 * ones. */
static bool is_special(const char *path)
{
	return !strncmp(path, "/proc/", 6) || !strncmp(path, "/sys/", 5) || !strncmp(path, "/dev/", 5);
}

/* A regular file: what else is mapped (devices, say) is not to be opened. */
static bool open_elf(struct space_module *m, const char *path)
{
	struct err err = {0};
	struct stat st;

	if (stat(path, &st)) {
		snprintf(m->why, sizeof(m->why), "%.180s: %s", path, strerror(errno));
		return false;
	}
	if (!S_ISREG(st.st_mode)) {
		snprintf(m->why, sizeof(m->why), "%.180s is no regular file", path);
		return false;
	}
	if (elf_file_open(&m->file, path, &err)) {
		snprintf(m->why, sizeof(m->why), "%.250s", err.msg);
		return false;
	}
	return true;
}

/* The opened file is of the build that is in memory. */
static bool same_build(struct space_module *m, const char *path)
{
	const char *id = elf_file_build_id_hex(m->file);

	if (*id && !strcmp(id, m->build_id))
		return true;
	if (!m->build_id[0])
		snprintf(m->why, sizeof(m->why),
			 "%.100s: its build-id is not in the core, so the file cannot be verified", path);
	else
		snprintf(m->why, sizeof(m->why), "%.80s has build-id %.40s, but %.40s was running", path,
			 *id ? id : "(none)", m->build_id);
	elf_file_close(m->file);
	m->file = NULL;
	return false;
}

static bool holds_entry(const struct space *s, const struct space_module *m)
{
	return s->entry >= m->start && s->entry < m->end;
}

static void open_live(struct space *s, struct space_module *m)
{
	const struct proc_map *first = proc_maps_find(&s->maps, m->start);
	char path[4200];

	snprintf(path, sizeof(path), "/proc/%d/map_files/%jx-%jx", (int)s->pid, (uintmax_t)first->start,
		 (uintmax_t)first->end);
	if (open_elf(m, path))
		return;
	snprintf(path, sizeof(path), "/proc/%d/root%s", (int)s->pid, m->path);
	if (open_elf(m, path))
		same_build(m, m->path);
}

static void take_range(struct space_module *m)
{
	Elf *elf = elf_file_elf(m->file);
	GElf_Phdr ph;
	size_t n;

	m->bias = m->start - elf_file_base(m->file);
	if (elf_getphdrnum(elf, &n))
		return;
	for (size_t i = 0; i < n; i++)
		if (gelf_getphdr(elf, (int)i, &ph) && ph.p_type == PT_LOAD &&
		    ph.p_memsz < UINT64_MAX - ph.p_vaddr - m->bias &&
		    m->bias + ph.p_vaddr + ph.p_memsz > m->end)
			m->end = m->bias + ph.p_vaddr + ph.p_memsz;
}

void module_try(struct space *s, struct space_module *m)
{
	const char *path = m->path;

	if (m->tried)
		return;
	m->tried = true;
	if (!memory_build_id(s, m)) {
		snprintf(m->why, sizeof(m->why), "%.100s: no ELF header of it is in the memory%s", m->path,
			 s->core ? " that was dumped, so the file cannot be verified" : "");
		return;
	}
	if (!s->core) {
		open_live(s, m);
	} else {
		if (s->binary && holds_entry(s, m))
			path = s->binary;
		if (path == m->path && is_special(path))
			snprintf(m->why, sizeof(m->why), "%.180s is no file on a disk", path);
		else if (open_elf(m, path))
			same_build(m, path);
	}
	if (m->file)
		take_range(m);
}

struct space_module *space_module_at(struct space *s, uint64_t addr)
{
	size_t after = FIRST_AFTER(s->module, s->n_modules, start, addr);

	if (!after)
		return NULL;
	module_try(s, &s->module[after - 1]);
	return addr < s->module[after - 1].end ? &s->module[after - 1] : NULL;
}

struct space_module *space_exe(struct space *s, const char **why)
{
	struct space_module *m = s->entry ? space_module_at(s, s->entry) : NULL;

	*why = NULL;
	if (!m)
		*why = s->core ? "the core does not tell where its executable was (no AT_ENTRY or no list of "
				 "mapped files)"
			       : "the executable is not among the mappings";
	else if (!m->file)
		*why = m->why;
	return m && m->file ? m : NULL;
}

struct symbols {
	struct space_module *m;
	size_t cap;
	bool failed;
};

static int add_symbol(void *ctx, const struct elf_sym *e)
{
	struct symbols *a = ctx;
	struct space_module *m = a->m;

	if (!e->defined || !e->vaddr ||
	    (e->type != STT_OBJECT && e->type != STT_FUNC && e->type != STT_NOTYPE &&
	     e->type != STT_GNU_IFUNC))
		return 0;
	if (m->n_symbols == a->cap) {
		size_t cap = a->cap ? 2 * a->cap : 1024;
		struct space_symbol *v = reallocarray(m->symbol, cap, sizeof(*v));

		if (!v)
			return a->failed = true;
		m->symbol = v;
		a->cap = cap;
	}
	m->symbol[m->n_symbols++] =
		(struct space_symbol){.start = m->bias + e->vaddr,
				      .size = e->size,
				      .name = e->name,
				      .is_function = e->type == STT_FUNC || e->type == STT_GNU_IFUNC};
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct space_symbol *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (x->size != y->size)
		return x->size < y->size ? -1 : 1;
	return strcmp(y->name, x->name); /* of aliases the last one is taken: the first by name */
}

/* Symbols of the file itself and, where they stand in another one, of its debuginfo. */
static void read_symbols(struct space *s, struct space_module *m)
{
	struct symbols a = {.m = m};
	struct elf_debug *d = malloc(sizeof(*d));

	m->symbols_read = true;
	elf_for_each_symbol(m->file, add_symbol, &a);
	if (d) {
		elf_find_debug(m->file, s->debuginfo, d);
		if (d->state == ELF_DEBUG_FOUND && !GROW(&s->debug, s->n_debug) &&
		    !elf_file_open(&s->debug[s->n_debug], d->path, NULL))
			elf_for_each_symbol(s->debug[s->n_debug++], add_symbol, &a);
		free(d);
	}
	if (m->n_symbols)
		qsort(m->symbol, m->n_symbols, sizeof(*m->symbol), by_start);
}

/* Code of one section. A symbol without size goes up to the next one there, but not into what another section
 * holds. */
static bool same_code(const struct elf_file *f, uint64_t a, uint64_t b)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;

	while ((scn = elf_nextscn(elf_file_elf(f), scn)))
		if (gelf_getshdr(scn, &sh) && (sh.sh_flags & SHF_EXECINSTR) && a >= sh.sh_addr &&
		    a - sh.sh_addr < sh.sh_size)
			return b >= sh.sh_addr && b - sh.sh_addr < sh.sh_size;
	return false;
}

const struct space_symbol *space_symbol_at(struct space *s, uint64_t addr, uint64_t *offset)
{
	struct space_module *m = space_module_at(s, addr);
	size_t after;

	if (!m || !m->file)
		return NULL;
	if (!m->symbols_read)
		read_symbols(s, m);
	after = FIRST_AFTER(m->symbol, m->n_symbols, start, addr);
	for (size_t i = after, back = 0; i-- > 0 && back < MAX_BACK; back++) {
		const struct space_symbol *y = &m->symbol[i];

		if (y->size ? addr - y->start < y->size
			    : i == after - 1 && same_code(m->file, addr - m->bias, y->start - m->bias)) {
			*offset = addr - y->start;
			return y;
		}
	}
	return NULL;
}
