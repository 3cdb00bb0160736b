/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Between loading, attaching and calibrating. */
#ifndef CULPRIT_TRACE_WRITES_PRIV_H
#define CULPRIT_TRACE_WRITES_PRIV_H

#include "trace/writes.h"

struct bpf_link;
struct bpf_program;
struct bpf_map;
struct bpf_object;

/* The programs and tables in the kernel. */
struct writes_kernel {
	struct bpf_object *obj;
	bool old; /* bpf/writes_old.bpf.c */
	struct bpf_map *cfg, *types, *fields, *probes, *hits, *sites, *calls, *counters, *events, *lost;
	struct bpf_map *objects, *nodes, *pieces;
	struct bpf_program *on_object, *on_destroy, *on_node;
};

/* Opens the programs that suit this kernel's verifier; btf: what btf_choose gave. */
int writes_kernel_open(struct writes_kernel *k, const char *btf, struct err *err);
/* Loads them and puts those that go on in others together. -errno as libbpf has it. */
int writes_kernel_load(struct writes_kernel *k);
void writes_kernel_close(struct writes_kernel *k);

struct trace_link {
	struct bpf_link *link;
	bool store; /* holds store sites only */
};

struct writes_trace {
	struct writes_kernel kernel;
	const struct writes_plan *plan;
	pid_t pid;
	bool multi;
	bool cookies;  /* else the map `sites` */
	uint64_t bias; /* of the binary in the process */
	struct wr_cfg cfg;
	uint64_t purged;    /* objects, by gaps */
	uint64_t forgotten; /* objects, by writes_trace_hold */
	bool held, stores_dropped;
	uint32_t room;		      /* for probes, in the kernel's tables */
	bool unjudged[WR_MAX_FIELDS]; /* of the kernel's table: a store site of it has no probe (any more) */
	struct trace_link *link;
	size_t n_links;
	unsigned attached, failed;
	char failure[256];
	struct writes_cost cost;
};

/* Attaches prog to n offsets of path in one link if the kernel can, else NULL and errno. */
struct bpf_link *attach_sites(const struct writes_trace *t, const struct bpf_program *prog, pid_t pid,
			      const char *path, const unsigned long *offsets, const uint64_t *cookies,
			      size_t n);
/* Forgets all objects. Returns how many there were. */
uint64_t writes_trace_purge(struct writes_trace *t);
/* All is attached: changes are judged from a little later on. */
int writes_trace_start(struct writes_trace *t);
/* The program that serves a role. */
const struct bpf_program *writes_program(const struct writes_trace *t, unsigned role);
/* Fills t->cost by probes on own code. */
void writes_calibrate(struct writes_trace *t);

#endif
