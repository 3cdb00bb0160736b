/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Rendering: findings and summaries to text (perf-style, on a FILE) and to JSON Lines. Renderers format
 * values; they judge nothing. JSON keys are those of docs/json.md. A NULL or unknown value is null in JSON
 * and left out in text.
 */
#ifndef CULPRIT_REPORT_H
#define CULPRIT_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "report/finding.h"

/* Text. Every function writes whole lines. */

/* A frame of the C++ library's call wrappers and locks: true of every program, so it says nothing about this
 * one. */
bool frame_is_std(const struct frame *f);
/*
 * "#0 f  file.cc:12" lines, one per frame, indented by `indent` columns; at most max frames (0 = all). Frames
 * of frame_is_std() are left out, which the numbers show; JSON has them all.
 */
void text_frames(FILE *f, const struct frames *st, int indent, size_t max);
/* The kernel stack on one line: "a <- b <- c". */
void text_kernel_stack(FILE *f, char *const *v, size_t n);
/* Closing footer: counters, notes, completeness, cost. */
void text_summary(FILE *f, const struct summary *s);
/* Wall time of a monotonic time as HH:MM:SS.mmm into buf (>= 16 bytes); returns buf. */
const char *text_time(const struct report_clock *c, uint64_t mono_ns, char buf[16]);
/* "7.9 s", "48 ms", "350 us" into buf (>= 16 bytes); returns buf. */
const char *text_duration(uint64_t ns, char buf[16]);
/* 1234567 -> "1,234,567" into buf (>= 32 bytes); returns buf. */
const char *text_count(uint64_t n, char buf[32]);

/* JSON. Values are new references; json_line takes it over, writes it as one line and flushes. */
json_t *json_frames(const struct frames *st);
/* Into o: "KEY", the frames, and "KEY_truncated", whether the stack goes on. */
void json_set_frames(json_t *o, const char *key, const struct frames *st);
json_t *json_hex(uint64_t v);	 /* "0x.." */
json_t *json_str(const char *s); /* null for NULL; bytes that are not UTF-8 are replaced, never refused */
json_t *json_strs(char *const *v, size_t n);
json_t *json_time(const struct report_clock *c,
		  uint64_t mono_ns); /* ISO 8601 UTC with microseconds; null for 0 */
json_t *json_touch(const struct report_clock *c,
		   const struct touch *t); /* {"tid","comm","function","time"}; null for ts 0 */
json_t *json_summary(const struct summary *s);
int json_line(FILE *f, json_t *v); /* 0 or -errno (-EPIPE when the reader has gone) */

#endif
