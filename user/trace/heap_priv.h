/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Between finding the allocators' functions, attaching to them, and reading what was kept. */
#ifndef CULPRIT_TRACE_HEAP_PRIV_H
#define CULPRIT_TRACE_HEAP_PRIV_H

#include "heap/functions.h"
#include "proc/maps.h"
#include "trace/heap.h"

#define HEAP_UPROBE_SESSION 57 /* BPF_TRACE_UPROBE_SESSION of include/uapi/linux/bpf.h, since 6.13 */
#define HEAP_ALLOCATORS	    8

struct bpf_link;
struct heap_bpf;

struct heap_allocator {
	const char *name; /* static */
	char *path;	  /* of the module, as the target sees it */
};

struct heap_place {
	struct heap_func f;
	uint64_t addr; /* of the probe, in the process */
	uint8_t allocator;
	bool used;     /* has its probe */
	char file[64]; /* to attach to: /proc/PID/map_files/.. */
};

/* A libbpf link, or one made by hand. */
struct heap_link {
	struct bpf_link *link;
	int fd; /* -1: none */
};

struct heap_trace {
	struct heap_trace_cfg c;
	struct heap_bpf *skel;
	struct heap_cfg cfg;
	uint64_t resumed_ns; /* when the last gap in which the programs did nothing had ended; 0: none */
	bool session;	     /* the kernel has programs for entry and return */
	bool glibc_only;
	struct heap_allocator allocator[HEAP_ALLOCATORS];
	size_t n_allocators;
	struct heap_place *site;
	size_t n_sites;
	struct heap_link *link;
	size_t n_links;
	unsigned failed, n_no_return;
	char failure[256];
};

void heap_texts(const struct proc_maps *maps, struct heap_cfg *cfg);
bool heap_session_works(void);
/* Fills site and allocator. -ENOENT: none. */
int heap_sites_find(struct heap_trace *h, const struct proc_maps *maps, struct err *err);
/* After the load. */
int heap_sites_attach(struct heap_trace *h, struct err *err);
void heap_link_close(struct heap_link *l);

#endif
