// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "proc/maps.h"
#include "proc/slurp.h"
#include "util/grow.h"
#include "util/search.h"

#define DELETED " (deleted)"

/* The kernel writes a newline in a name as \012 and leaves everything else as it is (seq_path with "\n"). */
static char *unescape(const char *s)
{
	char *out = malloc(strlen(s) + 1), *o = out;

	if (!out)
		return NULL;
	while (*s) {
		if (!strncmp(s, "\\012", 4)) {
			*o++ = '\n';
			s += 4;
		} else {
			*o++ = *s++;
		}
	}
	*o = '\0';
	return out;
}

static int parse_line(const char *line, struct proc_map *m)
{
	unsigned major, minor;
	char perms[5];
	size_t len;
	int at = 0;

	memset(m, 0, sizeof(*m));
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n", &m->start, &m->end,
		   perms, &m->offset, &major, &minor, &m->inode, &at) != 7 ||
	    !at || strlen(perms) != 4 || m->end <= m->start)
		return -EBADMSG;
	m->dev = makedev(major, minor);
	m->perms = (perms[0] == 'r' ? PROC_R : 0) | (perms[1] == 'w' ? PROC_W : 0) |
		   (perms[2] == 'x' ? PROC_X : 0) | (perms[3] == 's' ? PROC_SHARED : 0);
	if (!line[at])
		return 0;
	m->path = unescape(line + at);
	if (!m->path)
		return -ENOMEM;
	len = strlen(m->path);
	if (len > strlen(DELETED) && !strcmp(m->path + len - strlen(DELETED), DELETED)) {
		m->path[len - strlen(DELETED)] = '\0';
		m->deleted = true;
	}
	return 0;
}

int proc_maps_parse(struct proc_maps *ret, FILE *f, struct err *err)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t len;
	int e = 0;

	*ret = (struct proc_maps){0};
	while ((len = getline(&line, &room, f)) > 0) {
		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		e = GROW(&ret->v, ret->n);
		if (!e)
			e = parse_line(line, &ret->v[ret->n]);
		if (e) {
			err_set(err, e, "mappings: line %zu is not understood: %s", ret->n + 1, line);
			goto out;
		}
		ret->n++;
	}
	if (ferror(f))
		e = err_set(err, -errno, "mappings: %s", strerror(errno));
out:
	free(line);
	if (e)
		proc_maps_deinit(ret);
	return e;
}

int proc_maps_read(struct proc_maps *ret, pid_t pid, struct err *err)
{
	char path[64];
	FILE *f;
	int e;

	*ret = (struct proc_maps){0};
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "re");
	if (!f) {
		e = errno == ENOENT ? -ESRCH : -errno;
		return err_set(err, e, "process %d: mappings: %s", (int)pid, strerror(-e));
	}
	e = proc_maps_parse(ret, f, err);
	fclose(f);
	if (e)
		err_prefix(err, "process %d", (int)pid);
	return e;
}

const struct proc_map *proc_maps_find(const struct proc_maps *m, uint64_t addr)
{
	return RANGE_WITH(m->v, m->n, start, end, addr);
}

int proc_map_file(const struct proc_map *m, pid_t pid, char *buf, size_t len)
{
	struct stat st;
	int n = snprintf(buf, len, "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)pid, m->start, m->end);

	if (n > 0 && (size_t)n < len && !stat(buf, &st))
		return 0;
	/* not root, or a kernel that wants more for map_files */
	n = snprintf(buf, len, "/proc/%d/root%s", (int)pid, m->path ? m->path : "");
	return m->path && n > 0 && (size_t)n < len && !stat(buf, &st) && st.st_ino == m->inode ? 0 : -ENOENT;
}

void proc_maps_deinit(struct proc_maps *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->v[i].path);
	free(m->v);
	*m = (struct proc_maps){0};
}
