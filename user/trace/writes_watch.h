/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Watchpoints in the service of `writes`: which words may be watched, and each hit unwound, judged and handed
 * to the engine. */
#ifndef CULPRIT_TRACE_WRITES_WATCH_H
#define CULPRIT_TRACE_WRITES_WATCH_H

#include "story/unseen.h"
#include "symbol/image.h"
#include "trace/transport.h"
#include "trace/writes.h"
#include "writes/engine.h"

struct writes_watch_cfg {
	const struct writes_plan *plan;
	const struct writes_trace *trace;
	const struct engine_facts *facts; /* copied */
	struct dbg *dbg;
	struct image *image;
	struct engine *engine;
	struct transport *transport;
	pid_t pid;
	unsigned max_slots; /* 0: all there are */
	const char *btf;
	bool allow_vm;
	bool has_field; /* all watchpoints on this field: */
	uint16_t field_type, field;
	uint64_t object; /* all watchpoints on this object; 0: any */
};

struct writes_watch;
/* cfg's pointers are kept. Errors are those of watch_open (user/trace/watch.h): no watchpoints here, with
 * message and hint. */
int writes_watch_open(struct writes_watch **ret, const struct writes_watch_cfg *cfg, struct err *err);
void writes_watch_close(struct writes_watch *w); /* NULL is fine */
/* Records of other kinds are left alone. */
void writes_watch_record(struct writes_watch *w, const struct abi_hdr *rec);
int writes_watch_tick(struct writes_watch *w, uint64_t now_ns, struct err *err);
/* A damaged word that still lives gets a slot first. */
void writes_watch_damaged(struct writes_watch *w, const struct engine_finding *f, uint64_t now_ns);
/* As watch_covered. */
enum watch_cover writes_watch_covered(const struct writes_watch *w, uint64_t addr, unsigned width,
				      uint64_t from, uint64_t to);
/* Nothing is watched any more. */
void writes_watch_stop(struct writes_watch *w, uint64_t now_ns);
void writes_watch_account(struct writes_watch *w, uint64_t now_ns, struct summary *s);

#endif
