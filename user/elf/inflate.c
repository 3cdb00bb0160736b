// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <elf.h>
#include <errno.h>
#include <gelf.h>
#include <libdeflate.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#include "elf/elf_priv.h"
#include "elf/inflate.h"
#include "util/pages.h"

#define MAX_THREADS  8
#define MAX_SECTIONS 64
#define MAX_NAME     32
#define PAGE	     4096ULL
#define MAX_RATIO    1032 /* of deflate: 258 bytes of two bits; no debug section comes near it */
#define MAX_BYTES    (64ULL << 30)
#define FORGET_NS    20000000 /* between two looks at what was read */

struct part {
	char name[MAX_NAME];
	const uint8_t *in;
	size_t in_size;
	uint64_t at; /* of the section in the file, for messages */
	uint64_t size;
	uint32_t type;	/* ELFCOMPRESS_*; 0: as it stands */
	uint64_t image; /* offset in the image */
	bool late, done;
};

struct inflated {
	const struct elf_file *file;
	struct part part[MAX_SECTIONS];
	size_t n;
	uint8_t *image;
	size_t image_size;
	Elf *elf;
};

/* Sections that nobody here asks libdw for: it does without them. */
static bool is_unused(const char *name)
{
	static const char *const unused[] = {".debug_aranges",	    ".debug_macro",	  ".debug_macinfo",
					     ".debug_pubnames",	    ".debug_pubtypes",	  ".debug_names",
					     ".debug_gnu_pubnames", ".debug_gnu_pubtypes"};

	for (size_t i = 0; i < sizeof(unused) / sizeof(unused[0]); i++)
		if (!strcmp(name, unused[i]))
			return true;
	return false;
}

static int damaged(const struct inflated *in, const struct part *p, const char *what, struct err *err)
{
	return err_set(err, -EBADMSG, "the debuginfo in %s is damaged: %s at offset 0x%llx %s",
		       elf_file_path(in->file), p->name, (unsigned long long)p->at, what);
}

/* The head of a compressed section. */
static int read_head(const struct inflated *in, struct part *p, struct err *err)
{
	Elf64_Chdr head;

	if (p->in_size < sizeof(head))
		return damaged(in, p, "is too short for its head", err);
	memcpy(&head, p->in, sizeof(head));
	p->in += sizeof(head);
	p->in_size -= sizeof(head);
	p->type = head.ch_type;
	p->size = head.ch_size;
	if (p->type != ELFCOMPRESS_ZLIB && p->type != ELFCOMPRESS_ZSTD)
		return err_set(err, -ENOTSUP,
			       "%s: %s at offset 0x%llx is compressed by a method %u not known here",
			       elf_file_path(in->file), p->name, (unsigned long long)p->at, p->type);
	if (p->size / MAX_RATIO > p->in_size)
		return damaged(in, p, "claims to inflate to more than its bytes can hold", err);
	return 0;
}

static int add_section(struct inflated *in, const char *name, const GElf_Shdr *sh, struct err *err)
{
	struct part *p = &in->part[in->n];

	if (strncmp(name, ".debug_", 7) != 0 || strlen(name) >= sizeof(p->name) || is_unused(name) ||
	    sh->sh_type == SHT_NOBITS)
		return 0;
	if (in->n == MAX_SECTIONS)
		return err_set(err, -EBADMSG, "%s has more than %d debug sections", elf_file_path(in->file),
			       MAX_SECTIONS);
	*p = (struct part){.at = sh->sh_offset, .size = sh->sh_size};
	strcpy(p->name, name);
	if (sh->sh_offset > in->file->raw_size || sh->sh_size > in->file->raw_size - sh->sh_offset)
		return damaged(in, p, "ends beyond the file", err);
	p->in = in->file->raw + sh->sh_offset;
	p->in_size = sh->sh_size;
	p->late = !strcmp(name, ".debug_line");
	in->n++;
	return sh->sh_flags & SHF_COMPRESSED ? read_head(in, p, err) : 0;
}

/* Fills in->part. 1: there is something to inflate; 0: there is not, or libdw has to do it. */
static int read_sections(struct inflated *in, struct err *err)
{
	Elf *elf = elf_file_elf(in->file);
	Elf_Scn *scn = NULL;
	bool any = false;
	size_t strndx;
	GElf_Shdr sh;
	int rc = 0;

	if (!in->file->raw || in->file->type == ET_REL || elf_getshdrstrndx(elf, &strndx))
		return 0;
	while (!rc && (scn = elf_nextscn(elf, scn))) {
		const char *name = gelf_getshdr(scn, &sh) ? elf_strptr(elf, strndx, sh.sh_name) : NULL;

		if (!name)
			continue;
		if (!strcmp(name, ".gnu_debugaltlink") || !strncmp(name, ".zdebug_", 8))
			return 0;
		any |= !strncmp(name, ".debug_", 7) && sh.sh_flags & SHF_COMPRESSED;
		rc = add_section(in, name, &sh, err);
	}
	return rc ? rc : any;
}

/* Where each section goes; the end in in->image_size. The heads and the names come first, then each section
 * on pages of its own. */
static int place_sections(struct inflated *in, struct err *err)
{
	uint64_t at = sizeof(Elf64_Ehdr) + (in->n + 2) * sizeof(Elf64_Shdr) + 1 + in->n * MAX_NAME;

	for (size_t i = 0; i < in->n; i++) {
		struct part *p = &in->part[i];

		at = (at + PAGE - 1) & -PAGE;
		if (p->size > MAX_BYTES - at)
			return damaged(in, p, "is larger than any debuginfo", err);
		p->image = at;
		at += p->size;
	}
	in->image_size = at;
	return 0;
}

/* An ELF file with room for the sections, whose pages are taken as they are filled. */
static int make_image(struct inflated *in, struct err *err)
{
	size_t heads = sizeof(Elf64_Ehdr), names = heads + (in->n + 2) * sizeof(Elf64_Shdr), end = 1;
	int rc = place_sections(in, err);
	void *map;
	Elf64_Ehdr *eh;
	Elf64_Shdr *sh;

	if (rc)
		return rc;
	map = mmap(NULL, in->image_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		   -1, 0);
	if (map == MAP_FAILED)
		return err_set(err, -ENOMEM, "out of memory for %zu MiB of debuginfo", in->image_size >> 20);
	in->image = map;
	eh = map;
	memcpy(eh, in->file->raw, sizeof(*eh));
	eh->e_phoff = 0;
	eh->e_phnum = 0;
	eh->e_shoff = heads;
	eh->e_shentsize = sizeof(*sh);
	eh->e_shnum = (uint16_t)(in->n + 2);
	eh->e_shstrndx = (uint16_t)(in->n + 1);
	sh = (Elf64_Shdr *)(in->image + heads);
	for (size_t i = 0; i < in->n; i++) {
		const struct part *p = &in->part[i];

		sh[i + 1] = (Elf64_Shdr){.sh_name = (uint32_t)end,
					 .sh_type = SHT_PROGBITS,
					 .sh_offset = p->image,
					 .sh_size = p->size,
					 .sh_addralign = 1};
		end = (size_t)(stpcpy((char *)in->image + names + end, p->name) + 1 - (char *)in->image) -
		      names;
	}
	sh[in->n + 1] =
		(Elf64_Shdr){.sh_type = SHT_STRTAB, .sh_offset = names, .sh_size = end, .sh_addralign = 1};
	return 0;
}

/* false: damaged, or no memory for the decoder. */
static bool fill(const struct inflated *in, struct part *p)
{
	uint8_t *to = in->image + p->image;
	struct libdeflate_decompressor *z;
	size_t got = 0;
	bool ok = true;

	if (p->type == ELFCOMPRESS_ZSTD) {
		got = ZSTD_decompress(to, p->size, p->in, p->in_size);
		ok = !ZSTD_isError(got);
	} else if (p->type == ELFCOMPRESS_ZLIB) {
		z = libdeflate_alloc_decompressor();
		ok = z && libdeflate_zlib_decompress(z, p->in, p->in_size, to, p->size, &got) ==
				  LIBDEFLATE_SUCCESS;
		libdeflate_free_decompressor(z);
	} else {
		memcpy(to, p->in, p->size);
		got = p->size;
	}
	pages_forget(p->in, p->in + p->in_size);
	p->done = ok && got == p->size;
	return p->done;
}

/* The threads of one call; each takes the next section. */
struct filling {
	struct inflated *in;
	struct part *order[MAX_SECTIONS]; /* largest first */
	size_t n, next;
	size_t working; /* threads */
	pthread_mutex_t lock;
	pthread_cond_t end;
};

static void *fill_some(void *arg)
{
	struct filling *f = arg;
	size_t i;

	while ((i = __atomic_fetch_add(&f->next, 1, __ATOMIC_RELAXED)) < f->n)
		fill(f->in, f->order[i]);
	pthread_mutex_lock(&f->lock);
	f->working--;
	pthread_cond_signal(&f->end);
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

static int larger_first(const void *a, const void *b)
{
	const struct part *x = *(struct part *const *)a, *y = *(struct part *const *)b;

	return x->size < y->size ? 1 : x->size > y->size ? -1 : 0;
}

/* What was read of the file counts as ours until it is forgotten; it comes back if it is needed again. */
static void forget_while_working(struct filling *f)
{
	struct timespec until;

	pthread_mutex_lock(&f->lock);
	while (f->working) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += FORGET_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		if (!pthread_cond_timedwait(&f->end, &f->lock, &until))
			continue;
		for (size_t i = 0; i < f->n; i++)
			pages_forget(f->order[i]->in, f->order[i]->in + f->order[i]->in_size);
	}
	pthread_mutex_unlock(&f->lock);
}

/* All but those that wait for their call. */
static int fill_all(struct inflated *in, struct err *err)
{
	struct filling f = {.in = in, .lock = PTHREAD_MUTEX_INITIALIZER, .end = PTHREAD_COND_INITIALIZER};
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t n = cpus < 1 ? 1 : cpus > MAX_THREADS ? MAX_THREADS : (size_t)cpus, started = 0;
	pthread_t thread[MAX_THREADS];

	for (size_t i = 0; i < in->n; i++)
		if (!in->part[i].late)
			f.order[f.n++] = &in->part[i];
	qsort(f.order, f.n, sizeof(f.order[0]), larger_first);
	f.working = n = n < f.n ? n : f.n;
	while (started < n && !pthread_create(&thread[started], NULL, fill_some, &f))
		started++;
	if (!started) {
		f.working = 1;
		fill_some(&f);
	} else if (started < n) {
		pthread_mutex_lock(&f.lock);
		f.working -= n - started;
		pthread_mutex_unlock(&f.lock);
	}
	forget_while_working(&f);
	for (size_t i = 0; i < started; i++)
		pthread_join(thread[i], NULL);
	for (size_t i = 0; i < f.n; i++)
		if (!f.order[i]->done)
			return damaged(in, f.order[i], "does not inflate to what it claims", err);
	return 0;
}

int inflate_open(struct inflated **ret, const struct elf_file *f, struct err *err)
{
	struct inflated *in = calloc(1, sizeof(*in));
	int rc;

	*ret = NULL;
	if (!in)
		return err_set(err, -ENOMEM, "out of memory");
	in->file = f;
	rc = read_sections(in, err);
	if (rc <= 0) {
		inflate_close(in);
		return rc;
	}
	rc = make_image(in, err);
	rc = rc ? rc : fill_all(in, err);
	if (!rc) {
		in->elf = elf_memory((char *)in->image, in->image_size);
		rc = in->elf ? 0 : err_set(err, -ENOMEM, "out of memory");
	}
	if (rc) {
		inflate_close(in);
		return rc;
	}
	*ret = in;
	return 0;
}

void inflate_close(struct inflated *in)
{
	if (!in)
		return;
	if (in->elf)
		elf_end(in->elf);
	if (in->image)
		munmap(in->image, in->image_size);
	free(in);
}

Elf *inflate_elf(const struct inflated *in)
{
	return in->elf;
}

int inflate_lines(struct inflated *in, struct err *err)
{
	for (size_t i = 0; in && i < in->n; i++) {
		struct part *p = &in->part[i];

		if (p->late && !p->done && !fill(in, p)) {
			pages_forget(in->image + p->image,
				     in->image + p->image + p->size); /* nothing, not half */
			return damaged(in, p, "does not inflate to what it claims", err);
		}
	}
	return 0;
}
