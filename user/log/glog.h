/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Lines of glog: "I0917 05:25:17.037914 31576 dump_meta.cc:97] text", since 0.6 also with the year before the
 * month. A message may go on in further lines, which have no such head.
 */
#ifndef CULPRIT_LOG_GLOG_H
#define CULPRIT_LOG_GLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LOG_TEXT_LEN  512 /* bytes of a message that are kept */
#define LOG_WHERE_LEN 64

struct log_rec {
	uint64_t real_ns;
	pid_t tid;		   /* as the daemon counts */
	char severity;		   /* I, W, E, F */
	char where[LOG_WHERE_LEN]; /* "dump_meta.cc:97" */
	char text[LOG_TEXT_LEN];   /* lines joined by " | " */
};

/*
 * One line, without its end. Times are local ones; a line without a year is of the last twelve months before
 * now_ns (CLOCK_REALTIME). false: it has no head.
 */
bool glog_parse(const char *line, size_t len, uint64_t now_ns, struct log_rec *out);
/* A line that goes on with the message of *r. */
void glog_continue(struct log_rec *r, const char *line, size_t len);

/* Says that a call timed out. method: the one that it names ("when calling: zbs.meta.MetaService.ListDb"), or
 * empty. */
bool glog_is_timeout(const struct log_rec *r, char *method, size_t len);

#endif
