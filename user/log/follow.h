/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A log file that grows while it is read, is cut off, or is replaced by a new one. */
#ifndef CULPRIT_LOG_FOLLOW_H
#define CULPRIT_LOG_FOLLOW_H

#include "log/glog.h"
#include "util/err.h"

#define LOG_BACK 65536 /* bytes before the end with which reading begins */

struct log_file;

/* -ENOENT, -EACCES and so on. A name that is a link (glog's daemon.INFO) is followed to whatever it leads to
 * later. */
int log_open(struct log_file **ret, const char *path, struct err *err);
void log_close(struct log_file *f); /* NULL is fine */
/*
 * Hands on the messages that are complete: those that another one follows. last: the final one as well.
 * now_ns: CLOCK_REALTIME.
 */
void log_read(struct log_file *f, uint64_t now_ns, bool last,
	      void (*sink)(void *ctx, const struct log_rec *r), void *ctx);
/* Lines read; how often the file was replaced or cut off; lines before the first head, which belong to
 * nothing. */
uint64_t log_lines(const struct log_file *f);
uint64_t log_turns(const struct log_file *f);

#endif
