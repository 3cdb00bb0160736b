// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "elf/elf_priv.h"

#define PAGE 4096ULL

/* "/proc/PID" length if path is /proc/PID/exe, /proc/PID/map_files/... or /proc/PID/root/...; 0 otherwise. */
static size_t proc_prefix(const char *path, const char **rest)
{
	const char *p = path;

	if (strncmp(p, "/proc/", 6) != 0)
		return 0;
	p = strchr(p + 6, '/');
	if (!p)
		return 0;
	if (strcmp(p, "/exe") != 0 && strncmp(p, "/map_files/", 11) != 0 && strncmp(p, "/root/", 6) != 0)
		return 0;
	*rest = p;
	return (size_t)(p - path);
}

static int file_names(struct elf_file *f, const char *path)
{
	char link[PATH_MAX];
	const char *rest = NULL;
	size_t pre = proc_prefix(path, &rest);
	ssize_t n;

	f->path = strdup(path);
	if (!f->path)
		return -ENOMEM;
	if (!pre) {
		f->root = strdup("");
		f->name = strdup(path);
		return f->root && f->name ? 0 : -ENOMEM;
	}
	if (strncmp(rest, "/root/", 6) == 0) {
		f->name = strdup(rest + 5);
	} else {
		n = readlink(path, link, sizeof(link) - 1);
		if (n < 0)
			return -errno;
		link[n] = '\0';
		f->name = strdup(link);
	}
	if (asprintf(&f->root, "%.*s/root", (int)pre, path) < 0)
		f->root = NULL;
	return f->root && f->name ? 0 : -ENOMEM;
}

static void read_build_id(struct elf_file *f, Elf_Data *data)
{
	size_t off = 0, next, name_off, desc_off;
	GElf_Nhdr nh;

	while (!f->build_id_len && (next = gelf_getnote(data, off, &nh, &name_off, &desc_off)) > 0) {
		if (nh.n_type == NT_GNU_BUILD_ID && nh.n_namesz == 4 &&
		    memcmp((char *)data->d_buf + name_off, "GNU", 4) == 0 && nh.n_descsz > 0 &&
		    nh.n_descsz <= ELF_BUILD_ID_MAX) {
			f->build_id_len = nh.n_descsz;
			memcpy(f->build_id, (char *)data->d_buf + desc_off, nh.n_descsz);
		}
		off = next;
	}
	for (size_t i = 0; i < f->build_id_len; i++)
		sprintf(f->build_id_hex + 2 * i, "%02x", f->build_id[i]);
}

int elf_add_symbols(struct elf_syms *to, Elf *elf, Elf_Scn *scn, const GElf_Shdr *sh)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t n = sh->sh_entsize ? sh->sh_size / sh->sh_entsize : 0;
	GElf_Sym s;

	if (!data || !n || n > data->d_size / sizeof(Elf64_Sym))
		return 0;
	to->sym = calloc(n, sizeof(*to->sym));
	if (!to->sym)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const char *name, *at;
		struct elf_sym *o = &to->sym[to->n];

		if (!gelf_getsym(data, (int)i, &s))
			break;
		name = elf_strptr(elf, sh->sh_link, s.st_name);
		if (!name || !*name)
			continue;
		o->name = name;
		at = strchr(name, '@');
		if (at && at > name) { /* GNU version in .symtab */
			o->name = strndup(name, (size_t)(at - name));
			if (!o->name)
				return -ENOMEM;
			o->owned = true;
		}
		o->vaddr = s.st_value;
		o->size = s.st_size;
		o->type = GELF_ST_TYPE(s.st_info);
		o->bind = GELF_ST_BIND(s.st_info);
		o->defined = s.st_shndx != SHN_UNDEF;
		to->n++;
	}
	return 0;
}

static int read_sections(struct elf_file *f)
{
	Elf_Scn *scn = NULL, *mini = NULL;
	size_t shstr = 0;
	GElf_Shdr sh;
	int err = 0;

	if (elf_getshdrstrndx(f->elf, &shstr))
		return 0; /* no section headers: symbols and debuginfo are not known then */
	while (!err && (scn = elf_nextscn(f->elf, scn))) {
		const char *name;

		if (!gelf_getshdr(scn, &sh))
			continue;
		name = elf_strptr(f->elf, shstr, sh.sh_name);
		if (sh.sh_type == SHT_NOTE && !f->build_id_len) {
			Elf_Data *data = elf_getdata(scn, NULL);

			if (data && data->d_buf)
				read_build_id(f, data);
		} else if (sh.sh_type == SHT_SYMTAB && !f->symtab.sym) {
			err = elf_add_symbols(&f->symtab, f->elf, scn, &sh);
		} else if (sh.sh_type == SHT_DYNSYM && !f->dynsym.sym) {
			err = elf_add_symbols(&f->dynsym, f->elf, scn, &sh);
		} else if (name && sh.sh_type != SHT_NOBITS && sh.sh_size &&
			   (!strcmp(name, ".debug_info") || !strcmp(name, ".zdebug_info"))) {
			f->has_debug_info = true;
		} else if (name && !strcmp(name, ".gnu_debuglink")) {
			f->debuglink = elf_rawdata(scn, NULL);
		} else if (name && !strcmp(name, ".gnu_debugdata")) {
			mini = scn;
		}
	}
	if (!err && mini && !f->symtab.n)
		err = elf_read_minidebug(f, mini);
	return err ? err : elf_read_slots(f);
}

static int read_segments(struct elf_file *f)
{
	size_t n = 0;

	if (elf_getphdrnum(f->elf, &n) || !n)
		return 0;
	f->seg = calloc(n, sizeof(*f->seg));
	if (!f->seg)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(f->elf, (int)i, &ph))
			continue;
		if (ph.p_type == PT_LOAD)
			f->seg[f->n_seg++] = ph;
		if (ph.p_type == PT_NOTE && !f->build_id_len) {
			Elf_Data *data =
				elf_getdata_rawchunk(f->elf, (int64_t)ph.p_offset, ph.p_filesz, ELF_T_NHDR);

			if (data && data->d_buf)
				read_build_id(f, data);
		}
	}
	return 0;
}

int elf_file_open(struct elf_file **ret, const char *path, struct err *err)
{
	struct elf_file *f = calloc(1, sizeof(*f));
	GElf_Ehdr eh;
	int rc = -ENOMEM;

	*ret = NULL;
	if (!f)
		return err_set(err, rc, "out of memory");
	f->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (f->fd < 0) {
		rc = err_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
		goto out;
	}
	rc = file_names(f, path);
	if (rc) {
		err_set(err, rc, "cannot open %s: %s", path, strerror(-rc));
		goto out;
	}
	elf_version(EV_CURRENT);
	f->elf = elf_begin(f->fd, ELF_C_READ_MMAP, NULL);
	if (!f->elf || elf_kind(f->elf) != ELF_K_ELF || !gelf_getehdr(f->elf, &eh) ||
	    eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_ident[EI_DATA] != ELFDATA2LSB) {
		rc = err_set(err, -ENOEXEC, "%s is no 64-bit little-endian ELF file", path);
		goto out;
	}
	f->type = eh.e_type;
	f->machine = eh.e_machine;
	f->raw = (const uint8_t *)elf_rawfile(f->elf, &f->raw_size);
	rc = read_segments(f);
	rc = rc ? rc : read_sections(f);
	if (rc) {
		err_set(err, rc, "cannot read %s: %s", path, strerror(-rc));
		goto out;
	}
	*ret = f;
	return 0;
out:
	elf_file_close(f);
	return rc;
}

void elf_free_symbols(struct elf_syms *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->sym[i].owned)
			free((char *)s->sym[i].name);
	free(s->sym);
}

void elf_file_close(struct elf_file *f)
{
	if (!f)
		return;
	elf_free_symbols(&f->symtab);
	elf_free_symbols(&f->dynsym);
	if (f->mini)
		elf_end(f->mini);
	free(f->mini_image);
	free(f->slot);
	free(f->seg);
	free(f->path);
	free(f->name);
	free(f->root);
	if (f->elf)
		elf_end(f->elf);
	if (f->fd >= 0)
		close(f->fd);
	free(f);
}

const char *elf_file_path(const struct elf_file *f)
{
	return f->path;
}

const char *elf_file_name(const struct elf_file *f)
{
	return f->name;
}

Elf *elf_file_elf(const struct elf_file *f)
{
	return f->elf;
}

bool elf_file_is_pie(const struct elf_file *f)
{
	return f->type == ET_DYN;
}

size_t elf_file_build_id(const struct elf_file *f, const uint8_t **id)
{
	*id = f->build_id;
	return f->build_id_len;
}

const char *elf_file_build_id_hex(const struct elf_file *f)
{
	return f->build_id_hex;
}

uint64_t elf_file_base(const struct elf_file *f)
{
	uint64_t low = UINT64_MAX;

	for (size_t i = 0; i < f->n_seg; i++)
		if (f->seg[i].p_vaddr < low)
			low = f->seg[i].p_vaddr;
	return f->n_seg ? low & ~(PAGE - 1) : 0;
}

/* The segment whose file image holds vaddr. */
static const GElf_Phdr *segment_of(const struct elf_file *f, uint64_t vaddr)
{
	for (size_t i = 0; i < f->n_seg; i++)
		if (vaddr >= f->seg[i].p_vaddr && vaddr - f->seg[i].p_vaddr < f->seg[i].p_filesz)
			return &f->seg[i];
	return NULL;
}

bool elf_vaddr_to_offset(const struct elf_file *f, uint64_t vaddr, uint64_t *offset)
{
	const GElf_Phdr *s = segment_of(f, vaddr);

	if (s)
		*offset = s->p_offset + (vaddr - s->p_vaddr);
	return s != NULL;
}

bool elf_offset_to_vaddr(const struct elf_file *f, uint64_t offset, uint64_t *vaddr)
{
	for (size_t i = 0; i < f->n_seg; i++) {
		const GElf_Phdr *s = &f->seg[i];

		if (offset >= s->p_offset && offset - s->p_offset < s->p_filesz) {
			*vaddr = s->p_vaddr + (offset - s->p_offset);
			return true;
		}
	}
	return false;
}

size_t elf_bytes_left(const struct elf_file *f, uint64_t vaddr)
{
	const GElf_Phdr *s = segment_of(f, vaddr);
	uint64_t off, left;

	if (!s || !f->raw)
		return 0;
	off = s->p_offset + (vaddr - s->p_vaddr);
	left = s->p_filesz - (vaddr - s->p_vaddr);
	if (off < s->p_offset || off >= f->raw_size)
		return 0;
	return left < f->raw_size - off ? left : f->raw_size - off;
}

const uint8_t *elf_bytes(const struct elf_file *f, uint64_t vaddr, size_t len)
{
	const GElf_Phdr *s = segment_of(f, vaddr);

	if (!len || elf_bytes_left(f, vaddr) < len)
		return NULL;
	return f->raw + (s->p_offset + (vaddr - s->p_vaddr));
}

bool elf_vaddr_is_code(const struct elf_file *f, uint64_t vaddr)
{
	const GElf_Phdr *s = segment_of(f, vaddr);

	return s && (s->p_flags & PF_X);
}

static int for_each(const struct elf_syms *s, int (*fn)(void *ctx, const struct elf_sym *sym), void *ctx)
{
	int rc = 0;

	for (size_t i = 0; i < s->n && !rc; i++)
		rc = fn(ctx, &s->sym[i]);
	return rc;
}

int elf_for_each_symbol(const struct elf_file *f, int (*fn)(void *ctx, const struct elf_sym *sym), void *ctx)
{
	return for_each(f->symtab.n ? &f->symtab : &f->dynsym, fn, ctx);
}

int elf_for_each_dynsym(const struct elf_file *f, int (*fn)(void *ctx, const struct elf_sym *sym), void *ctx)
{
	return for_each(&f->dynsym, fn, ctx);
}

static int find_symbol(const struct elf_syms *s, const char *name, struct elf_sym *ret)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->sym[i].defined && !strcmp(s->sym[i].name, name)) {
			*ret = s->sym[i];
			return 0;
		}
	}
	return -ENOENT;
}

int elf_symbol(const struct elf_file *f, const char *name, struct elf_sym *ret)
{
	return find_symbol(f->symtab.n ? &f->symtab : &f->dynsym, name, ret);
}

int elf_dynsym(const struct elf_file *f, const char *name, struct elf_sym *ret)
{
	return find_symbol(&f->dynsym, name, ret);
}

uint16_t elf_file_machine(const struct elf_file *f)
{
	return f->machine;
}
