// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf/elf_file.h"
#include "symbol/image_priv.h"
#include "symbol/offline.h"

#define FILES_MAX 4096 /* of a directory that are looked at */

/* What is looked for, and the best that was found. */
struct hunt {
	const char *build_id, *debuginfo;
	char *file, *debug; /* debug: of file, if its debuginfo stands elsewhere */
	bool named;	    /* there is debuginfo */
};

static void take(struct hunt *h, const char *file, const char *debug, bool named)
{
	free(h->file);
	free(h->debug);
	h->file = strdup(file);
	h->debug = debug ? strdup(debug) : NULL;
	h->named = named;
}

/* True: it is the one, and nothing better can come. */
static bool try_file(struct hunt *h, const char *path)
{
	struct elf_debug *d;
	struct elf_file *f;
	struct stat st;

	if (h->named)
		return true;
	if (stat(path, &st) || !S_ISREG(st.st_mode) || elf_file_open(&f, path, NULL))
		return false;
	d = calloc(1, sizeof(*d));
	if (d && !strcmp(elf_file_build_id_hex(f), h->build_id)) {
		elf_find_debug(f, h->debuginfo, d);
		if (d->state == ELF_DEBUG_SELF)
			take(h, path, NULL, true);
		else if (d->state == ELF_DEBUG_FOUND)
			take(h, path, d->path, true);
		else if (!h->file)
			take(h, path, NULL, false);
	}
	free(d);
	elf_file_close(f);
	return h->named;
}

static bool __attribute__((format(printf, 2, 3))) tryf(struct hunt *h, const char *fmt, ...)
{
	char *path = NULL;
	bool found;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&path, fmt, ap);
	va_end(ap);
	if (n < 0)
		return false;
	found = try_file(h, path);
	free(path);
	return found;
}

static bool try_files(struct hunt *h, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	bool found = false;

	for (unsigned n = 0; d && !found && n < FILES_MAX && (e = readdir(d)); n++)
		found = tryf(h, "%s/%s", dir, e->d_name);
	if (d)
		closedir(d);
	return found;
}

static bool try_tree(struct hunt *h, const char *dir)
{
	return tryf(h, "%s/.build-id/%.2s/%s.debug", dir, h->build_id, h->build_id + 2);
}

static bool try_place(struct hunt *h, const char *place)
{
	char real[4096];
	bool found;

	if (try_file(h, place) || try_tree(h, place))
		return true;
	found = (size_t)snprintf(real, sizeof(real), "%s/usr/lib/debug", place) < sizeof(real) &&
		try_tree(h, real);
	return found || try_files(h, place);
}

static void hunt_all(struct hunt *h, const char *module)
{
	char *places = strdup(h->debuginfo ? h->debuginfo : ""), *rest = places, *one;
	bool found = false;

	while (!found && rest && (one = strsep(&rest, ":")))
		found = *one && try_place(h, one);
	free(places);
	if (!found && module && module[0] == '/')
		found = try_file(h, module);
	if (!found)
		try_tree(h, "/usr/lib/debug");
}

/* libdwfl places a module by the first of its segments: at its own addresses, so that offsets are addresses.
 */
static int find_range(struct image_module *m, Elf *elf)
{
	bool first = true;
	GElf_Phdr ph;
	size_t n;

	if (elf_getphdrnum(elf, &n))
		return -EBADMSG;
	for (size_t i = 0; i < n; i++) {
		if (!gelf_getphdr(elf, (int)i, &ph) || ph.p_type != PT_LOAD)
			continue;
		if (first)
			m->start = m->low = ph.p_align > 1 ? ph.p_vaddr & -ph.p_align : ph.p_vaddr;
		first = false;
		if (ph.p_vaddr + ph.p_memsz > m->end && ph.p_vaddr + ph.p_memsz >= ph.p_vaddr)
			m->end = ph.p_vaddr + ph.p_memsz;
	}
	return m->end > m->start ? 0 : -EBADMSG;
}

static int open_module(struct image *im, struct hunt *h)
{
	struct image_module *m = calloc(1, sizeof(*m));
	struct elf_file *f;
	void **userdata;
	int rc;

	im->module = calloc(1, sizeof(*im->module));
	if (!m || !im->module) {
		free(m);
		return -ENOMEM;
	}
	m->im = im;
	m->inode = 1;
	m->file = h->file;
	m->debug_file = h->debug;
	h->file = h->debug = NULL;
	im->module[im->n_modules++] = m;
	m->fd = open(m->file, O_RDONLY | O_CLOEXEC);
	m->debug_fd = m->debug_file ? open(m->debug_file, O_RDONLY | O_CLOEXEC) : -1;
	m->path = strdup(m->file);
	if (m->fd < 0 || !m->path || elf_file_open(&f, m->file, NULL))
		return -ENOENT;
	rc = find_range(m, elf_file_elf(f));
	elf_file_close(f);
	if (rc)
		return rc;
	dwfl_report_begin(im->dwfl);
	m->dwfl = dwfl_report_module(im->dwfl, m->file, m->low, m->end);
	if (!m->dwfl || dwfl_report_end(im->dwfl, NULL, NULL))
		return -EBADMSG;
	dwfl_module_info(m->dwfl, &userdata, NULL, NULL, NULL, NULL, NULL, NULL);
	*userdata = m;
	return 0;
}

int image_open_build(struct image **ret, const char *build_id, const char *module, const char *debuginfo,
		     struct err *err)
{
	struct hunt h = {.build_id = build_id, .debuginfo = debuginfo};
	struct image *im;
	int rc;

	if (strlen(build_id) < 3 || strspn(build_id, "0123456789abcdef") != strlen(build_id))
		return err_set(err, -ENOENT, "'%.80s' is no build-id", build_id);
	hunt_all(&h, module);
	if (!h.file) {
		free(h.debug);
		return err_set(err, -ENOENT, "no file of build-id %s (%s)", build_id, module ? module : "?");
	}
	im = calloc(1, sizeof(*im));
	if (im)
		im->dwfl = dwfl_begin(&module_callbacks);
	rc = im && im->dwfl ? open_module(im, &h) : -ENOMEM;
	free(h.file);
	free(h.debug);
	if (rc) {
		image_close(im);
		return err_set(err, rc, "the file of build-id %s cannot be read", build_id);
	}
	*ret = im;
	return 0;
}
