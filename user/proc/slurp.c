// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proc/slurp.h"

int proc_slurp(char **ret, const char *fmt, ...)
{
	char path[PATH_MAX], *buf = NULL;
	size_t len = 0, room = 0;
	ssize_t got;
	va_list ap;
	int fd, n;

	*ret = NULL;
	va_start(ap, fmt);
	n = vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	do {
		if (room - len < 2) {
			char *more = realloc(buf, room ? room * 2 : 4096);

			if (!more) {
				got = -ENOMEM;
				break;
			}
			buf = more;
			room = room ? room * 2 : 4096;
		}
		got = read(fd, buf + len, room - len - 1);
		if (got < 0)
			got = -errno;
		else
			len += (size_t)got;
	} while (got > 0);
	close(fd);
	if (got < 0) {
		free(buf);
		return (int)got;
	}
	buf[len] = '\0';
	*ret = buf;
	return 0;
}
