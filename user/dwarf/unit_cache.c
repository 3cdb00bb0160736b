// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dwarf/dbg_priv.h"
#include "dwarf/unit_cache.h"
#include "util/grow.h"

#define MAX_FILE (16 << 20)

static const char *test_dir;

void unit_cache_set_dir(const char *dir)
{
	test_dir = dir;
}

/* A directory of our own that nobody else can look into; made if it is not there. */
static bool own_dir(const char *path)
{
	struct stat st;

	if (mkdir(path, 0700) && errno != EEXIST)
		return false;
	return !lstat(path, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 077);
}

/* For free(); NULL: there is no safe place. */
static char *cache_dir(void)
{
	const char *home = getenv("HOME"), *xdg = getenv("XDG_CACHE_HOME");
	char *dir = NULL;
	int n;

	if (test_dir)
		n = asprintf(&dir, "%s", test_dir);
	else if (geteuid() == 0)
		n = asprintf(&dir, "/var/cache/culprit");
	else if (xdg && xdg[0] == '/')
		n = asprintf(&dir, "%s/culprit", xdg);
	else if (home && home[0] == '/')
		n = asprintf(&dir, "%s/.cache/culprit", home);
	else
		return NULL;
	if (n < 0)
		return NULL;
	if (own_dir(dir))
		return dir;
	free(dir);
	return NULL;
}

const struct unit_set *unit_cache_find(const struct unit_cache *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (!strcmp(c->v[i].name, name))
			return &c->v[i];
	return NULL;
}

static size_t words(const struct unit_cache *c)
{
	return (c->n_units + 63) / 64;
}

static int add(struct unit_cache *c, const char *name, uint64_t *bits, bool kept)
{
	char *copy = strdup(name);

	if (!copy || GROW(&c->v, c->n)) {
		free(copy);
		free(bits);
		return -ENOMEM;
	}
	c->v[c->n++] = (struct unit_set){.name = copy, .bits = bits, .kept = kept};
	return 0;
}

int unit_cache_add(struct unit_cache *c, const char *name, uint64_t *bits)
{
	return add(c, name, bits, false);
}

static void drop(struct unit_cache *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->v[i].name);
		free(c->v[i].bits);
	}
	free(c->v);
	c->v = NULL;
	c->n = 0;
}

/* "NAME\tWORD WORD...\n", hex. */
static int read_set(struct unit_cache *c, char *line)
{
	char *at = strchr(line, '\t'), *end;
	uint64_t *bits;

	if (!at || at == line)
		return -EINVAL;
	*at++ = '\0';
	bits = calloc(words(c) + 1, sizeof(*bits));
	if (!bits)
		return -ENOMEM;
	for (size_t i = 0; i < words(c); i++, at = end) {
		errno = 0;
		bits[i] = strtoull(at, &end, 16);
		if (end == at || errno)
			goto bad;
	}
	if (*at || (c->n_units % 64 && bits[words(c) - 1] >> (c->n_units % 64)))
		goto bad;
	return add(c, line, bits, true);
bad:
	free(bits);
	return -EINVAL;
}

/* Of all that stands before the last line, which says it. */
static uint64_t checksum(const char *text, size_t len)
{
	return bytes_hash(NAME_SEED, text, len);
}

int unit_cache_parse(struct unit_cache *c, char *text, size_t len)
{
	char head[128], sum[64], *line, *next;
	int n = snprintf(head, sizeof(head), UNIT_CACHE_HEAD, c->key, c->n_units);
	size_t tail;

	tail = (size_t)snprintf(sum, sizeof(sum), UNIT_CACHE_SUM, (uint64_t)0); /* its length */
	if (len < (size_t)n + tail || strncmp(text, head, (size_t)n) != 0 || strlen(text) != len)
		return -EINVAL;
	snprintf(sum, sizeof(sum), UNIT_CACHE_SUM, checksum(text, len - tail));
	if (strcmp(text + len - tail, sum) != 0)
		return -EINVAL;
	text[len - tail] = '\0';
	for (line = text + n; *line; line = next) {
		int rc;

		next = strchr(line, '\n');
		if (!next)
			return -EINVAL;
		*next++ = '\0';
		rc = read_set(c, line);
		if (rc)
			return rc;
	}
	return 0;
}

static void read_file(struct unit_cache *c)
{
	int fd = open(c->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	char *text;

	if (fd < 0)
		return;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 077) &&
	    st.st_size > 0 && st.st_size < MAX_FILE && (text = calloc(1, (size_t)st.st_size + 1))) {
		if (pread(fd, text, (size_t)st.st_size, 0) != st.st_size ||
		    unit_cache_parse(c, text, (size_t)st.st_size))
			drop(c);
		free(text);
	}
	close(fd);
}

int unit_cache_open(struct unit_cache *c, const char *build_id, uint64_t key, size_t n_units)
{
	char *dir;

	*c = (struct unit_cache){.n_units = n_units, .key = key};
	dir = *build_id ? cache_dir() : NULL;
	if (dir && asprintf(&c->path, "%s/%s.units", dir, build_id) < 0)
		c->path = NULL;
	free(dir);
	if (c->path)
		read_file(c);
	return 0;
}

/* Names with characters that the form has its own use for are not kept. */
static bool plain(const char *name)
{
	for (; *name; name++)
		if ((unsigned char)*name < ' ')
			return false;
	return true;
}

static void write_file(const struct unit_cache *c)
{
	char *text = NULL, *temp = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	bool ok;
	int fd;

	if (!f)
		return;
	fprintf(f, UNIT_CACHE_HEAD, c->key, c->n_units);
	for (size_t i = 0; i < c->n; i++) {
		if (!plain(c->v[i].name))
			continue;
		fprintf(f, "%s\t", c->v[i].name);
		for (size_t k = 0; k < words(c); k++)
			fprintf(f, "%s%" PRIx64, k ? " " : "", c->v[i].bits[k]);
		fputc('\n', f);
	}
	fflush(f);
	fprintf(f, UNIT_CACHE_SUM, checksum(text, len));
	if (fclose(f) || asprintf(&temp, "%s.XXXXXX", c->path) < 0) {
		free(text);
		return;
	}
	fd = mkostemp(temp, O_CLOEXEC); /* mode 0600 */
	ok = fd >= 0 && len < MAX_FILE && write(fd, text, len) == (ssize_t)len;
	if (fd >= 0 && close(fd))
		ok = false;
	if (fd >= 0 && (!ok || rename(temp, c->path)))
		unlink(temp);
	free(temp);
	free(text);
}

void unit_cache_close(struct unit_cache *c)
{
	bool news = false;

	for (size_t i = 0; i < c->n; i++)
		news |= !c->v[i].kept;
	if (news && c->path)
		write_file(c);
	drop(c);
	free(c->path);
	*c = (struct unit_cache){0};
}
