// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A profile's text -> a debuginfo file in memory. */
#include <dwarf.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf/elf_file.h"
#include "profile/profile.h"
#include "profile/read_priv.h"

#define MAX_TEXT (64 << 20)

struct profile {
	int fd;
	char path[32];
	char build_id[2 * ELF_BUILD_ID_MAX + 1];
	char binary[256];
};

int reader_bad(struct reader *r, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(r->err, -EBADMSG, "%s:%u:%u: %s", r->name, r->line_no, (unsigned)(r->p - r->line) + 1,
		       what);
}

size_t reader_word(const struct reader *r)
{
	return strcspn(r->p, " =\n");
}

int reader_space(struct reader *r)
{
	if (r->p[0] != ' ')
		return reader_bad(r, r->p[0] == '\n' ? "the line ends too early" : "a space is missing");
	r->p++;
	return 0;
}

int reader_number(struct reader *r, uint64_t *v)
{
	const char *end = form_read_number(r->p, v);

	if (!end)
		return reader_bad(r, "this is no number");
	r->p = end;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The unescaped text is no longer than the escaped one, and r->string is as long as the longest line. */
int reader_string(struct reader *r)
{
	r->string_len = 0;
	if (*r->p != '"')
		return reader_bad(r, "a text in quotes is missing");
	for (r->p++; *r->p != '"'; r->p++) {
		char c = *r->p;

		if (c == '\n')
			return reader_bad(r, "the quotes are not closed");
		if (c == '\\') {
			c = *++r->p;
			if (c == 'x' && hex_digit(r->p[1]) >= 0 && hex_digit(r->p[2]) >= 0) {
				c = (char)(hex_digit(r->p[1]) * 16 + hex_digit(r->p[2]));
				r->p += 2;
			} else if (c != '"' && c != '\\') {
				return reader_bad(r, "no such escape");
			}
			if (!c)
				return reader_bad(r, "a NUL in a text");
		}
		r->string[r->string_len++] = c;
	}
	r->p++;
	return 0;
}

static int read_build_id(struct reader *r, struct profile *out)
{
	uint8_t id[ELF_BUILD_ID_MAX];
	size_t len = strcspn(r->p, "\n");

	if (!len || len % 2 || len / 2 > sizeof(id))
		return reader_bad(r, "this is no build-id");
	for (size_t i = 0; i < len; i++)
		if (hex_digit(r->p[i]) < 0)
			return reader_bad(r, "this is no build-id");
	if (out->build_id[0])
		return reader_bad(r, "a second build-id");
	for (size_t i = 0; i < len / 2; i++)
		id[i] = (uint8_t)(hex_digit(r->p[2 * i]) * 16 + hex_digit(r->p[2 * i + 1]));
	memcpy(out->build_id, r->p, len);
	image_build_id(&r->im, id, len / 2);
	r->p += len;
	return 0;
}

static int read_segment(struct reader *r)
{
	struct image_segment *s = &r->im.seg[r->im.n_seg];

	if (r->im.n_seg == IMAGE_MAX_SEGMENTS)
		return reader_bad(r, "more than %d segments", IMAGE_MAX_SEGMENTS);
	if (reader_number(r, &s->vaddr) || reader_space(r) || reader_number(r, &s->size) || reader_space(r) ||
	    reader_number(r, &s->align) || reader_space(r))
		return -EBADMSG;
	if (s->vaddr + s->size < s->vaddr || (s->align & (s->align - 1)))
		return reader_bad(r, "such a segment cannot be");
	s->flags = (r->p[0] == 'r' ? PF_R : 0);
	for (const char *c = "rwx"; *c; c++, r->p++) {
		if (*r->p != *c && *r->p != '-')
			return reader_bad(r, "rwx or dashes are missing");
		s->flags |= *r->p == 'w' ? PF_W : *r->p == 'x' ? PF_X : 0;
	}
	r->im.n_seg++;
	return 0;
}

/* One of the words; its number. -1: none of them. */
static int read_word(struct reader *r, const char *const *words)
{
	size_t len = reader_word(r);

	for (int i = 0; words[i]; i++) {
		if (strlen(words[i]) == len && !memcmp(words[i], r->p, len)) {
			r->p += len;
			return i;
		}
	}
	reader_bad(r, "%s or %s is missing", words[0], words[1]);
	return -1;
}

static int read_symbol(struct reader *r)
{
	struct elf_sym s;

	if (!form_symbol_read(*r->p, &s))
		return reader_bad(r, "T t W B b V or U is missing");
	r->p++;
	if (reader_space(r) || reader_number(r, &s.vaddr) || reader_space(r) || reader_number(r, &s.size) ||
	    reader_space(r) || reader_string(r))
		return -EBADMSG;
	image_symbol(&r->im, r->string, r->string_len, &s);
	return 0;
}

/* What is said for the reader only: it has to be well-formed all the same. */
static int read_probe(struct reader *r)
{
	uint64_t entry, offset;

	r->p += reader_word(r);
	if (reader_space(r) || reader_number(r, &entry) || reader_space(r))
		return -EBADMSG;
	if (*r->p != '+')
		return reader_bad(r, "'+' and an offset is missing");
	r->p++;
	return reader_number(r, &offset) || reader_space(r) || reader_string(r) ? -EBADMSG : 0;
}

static int read_machine(struct reader *r)
{
	uint64_t v;

	if (reader_number(r, &v))
		return -EBADMSG;
	if (v > UINT16_MAX)
		return reader_bad(r, "no such machine");
	r->im.machine = (uint16_t)v;
	return 0;
}

static int read_head(struct reader *r, struct profile *out, int what)
{
	static const char *const types[] = {"exec", "dyn", NULL};
	int type;

	switch (what) {
	case 0:
		return read_build_id(r, out);
	case 1:
		if (reader_string(r))
			return -EBADMSG;
		snprintf(out->binary, sizeof(out->binary), "%.*s", (int)r->string_len, r->string);
		return 0;
	case 2:
		return reader_string(r);
	case 3:
		return read_machine(r);
	case 4:
		type = read_word(r, types);
		r->im.dyn = type == 1;
		return type < 0 ? -EBADMSG : 0;
	case 5:
		return read_segment(r);
	case 6:
		return read_symbol(r);
	default:
		return read_probe(r);
	}
}

/* r->p at the first character of a line that is neither empty nor a comment. */
static int read_line(struct reader *r, struct profile *out)
{
	static const char *const heads[] = {"build-id", "binary",  "for",    "machine",
					    "type",	"segment", "symbol", "probe"};
	size_t len = reader_word(r);
	int rc = -1;

	for (int i = 0; i < (int)(sizeof(heads) / sizeof(heads[0])) && rc == -1; i++) {
		if (strlen(heads[i]) != len || memcmp(heads[i], r->p, len) != 0)
			continue;
		if (r->im.in_unit || r->p != r->line)
			return reader_bad(r, "%s has its place before the units", heads[i]);
		r->p += len;
		rc = reader_space(r) ? -EBADMSG : read_head(r, out, i);
	}
	if (rc == -1)
		rc = reader_entry(r);
	if (rc)
		return rc;
	return *r->p == '\n' ? 0 : reader_bad(r, "what is this behind it?");
}

static int finish_units(struct reader *r)
{
	const struct image_fixup *f;

	for (; r->depth > 0; r->depth--)
		image_children_end(&r->im);
	image_unit_end(&r->im);
	f = image_resolve(&r->im);
	if (!f)
		return 0;
	return err_set(r->err, -EBADMSG, "%s:%u:%u: nothing has this label", r->name, f->line, f->col);
}

/* Every line ends with a newline, and a NUL stands behind the last. */
static int read_text(struct reader *r, struct profile *out)
{
	size_t magic = strlen(PROFILE_MAGIC);
	int rc;

	r->p = r->line = r->text;
	r->line_no = 1;
	if (strncmp(r->text, PROFILE_MAGIC "\n", magic + 1) != 0)
		return reader_bad(r, "this is no profile: it does not begin with '%s'", PROFILE_MAGIC);
	for (r->p += magic + 1; r->p < r->end; r->p++) {
		r->line = r->p;
		r->line_no++;
		while (*r->p == ' ')
			r->p++;
		if (*r->p == '#') {
			r->p += strcspn(r->p, "\n");
		} else if (*r->p != '\n') {
			if (!strncmp(r->p, "end\n", 4) && r->p == r->line) {
				if (!out->build_id[0])
					return reader_bad(r, "no build-id was given");
				return finish_units(r);
			}
			rc = read_line(r, out);
			if (rc)
				return rc;
		}
	}
	r->p = r->line = r->end;
	return reader_bad(r, "'end' is missing: the file was cut");
}

static int make_file(struct profile *p, struct image *im, struct err *err)
{
	size_t len = 0, done = 0;
	uint8_t *file = image_finish(im, &len);
	ssize_t n = 0;

	if (!file)
		return err_set(err, -ENOMEM, "out of memory");
	p->fd = memfd_create("culprit-profile", MFD_CLOEXEC);
	while (p->fd >= 0 && done < len && (n = write(p->fd, file + done, len - done)) > 0)
		done += (size_t)n;
	free(file);
	if (done < len)
		return err_set(err, -errno, "no memory file for the profile: %s", strerror(errno));
	snprintf(p->path, sizeof(p->path), "/proc/self/fd/%d", p->fd);
	return 0;
}

int profile_parse(struct profile **ret, const char *text, size_t len, const char *name, struct err *err)
{
	struct reader r = {.name = name, .err = err};
	struct profile *p = calloc(1, sizeof(*p));
	char *copy = malloc(len + 2);
	int rc;

	*ret = NULL;
	r.string = malloc(len + 2);
	rc = err_set(err, -ENOMEM, "out of memory");
	if (p)
		p->fd = -1;
	if (!p || !copy || !r.string)
		goto out;
	memcpy(copy, text, len);
	copy[len] = '\n';
	copy[len + 1] = '\0';
	r.text = copy;
	r.end = copy + len + 1;
	rc = -EBADMSG;
	if (memchr(text, '\0', len))
		err_set(err, rc, "%s: a NUL at byte %zu: this is no profile", name,
			(size_t)((const char *)memchr(text, '\0', len) - text));
	else
		rc = read_text(&r, p);
	rc = rc ? rc : make_file(p, &r.im, err);
out:
	image_deinit(&r.im);
	free(r.range);
	free(r.place);
	free(r.string);
	free(copy);
	if (rc)
		profile_close(p);
	else
		*ret = p;
	return rc;
}

int profile_open(struct profile **ret, const char *file, struct err *err)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;
	struct stat st;
	char *text;

	*ret = NULL;
	if (fd < 0 || fstat(fd, &st)) {
		rc = err_set(err, -errno, "cannot read the profile %s: %s", file, strerror(errno));
		err_hint(err, "`culprit layout` makes one where the debuginfo is");
	} else if (!S_ISREG(st.st_mode) || st.st_size > MAX_TEXT) {
		rc = err_set(err, -EBADMSG, "%s is no profile: %s", file,
			     S_ISREG(st.st_mode) ? "it is too large" : "it is no file");
	} else {
		text = malloc((size_t)st.st_size + 1);
		if (!text)
			rc = err_set(err, -ENOMEM, "out of memory");
		else if (pread(fd, text, (size_t)st.st_size, 0) != st.st_size)
			rc = err_set(err, -EIO, "cannot read the profile %s", file);
		else
			rc = profile_parse(ret, text, (size_t)st.st_size, file, err);
		free(text);
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

void profile_close(struct profile *p)
{
	if (!p)
		return;
	if (p->fd >= 0)
		close(p->fd);
	free(p);
}

const char *profile_build_id(const struct profile *p)
{
	return p->build_id;
}

const char *profile_binary(const struct profile *p)
{
	return p->binary;
}

const char *profile_debuginfo(const struct profile *p)
{
	return p->path;
}
