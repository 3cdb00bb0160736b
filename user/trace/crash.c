// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "trace/crash.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../bpf/abi/crash.h"
#include "crash.skel.h"
#include "trace/fit.h"

#define RING_BYTES (1u << 20)

struct crash_trace {
	struct crash_bpf *skel;
};

static int load(struct crash_trace *c, pid_t pid, int nodes_fd, const char *btf, struct err *err)
{
	struct crash_cfg cfg = {.tgid = (uint32_t)pid};
	uint32_t zero = 0;
	int ret = bpf_map__set_max_entries(c->skel->maps.events, RING_BYTES);

	if (!ret)
		ret = bpf_map__reuse_fd(c->skel->maps.nodes, nodes_fd);
	if (!ret)
		ret = fit_object(c->skel->obj, btf, err);
	if (!ret)
		ret = crash_bpf__load(c->skel);
	if (!ret &&
	    bpf_map__update_elem(c->skel->maps.crash_settings, &zero, sizeof(zero), &cfg, sizeof(cfg), 0))
		ret = -errno;
	if (!ret)
		ret = crash_bpf__attach(c->skel);
	return ret ? err_set(err, ret, "the signal that kills the target cannot be traced: %s",
			     strerror(-ret))
		   : 0;
}

int crash_trace_open(struct crash_trace **ret, pid_t pid, int nodes_fd, const char *btf, struct transport *t,
		     struct err *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = btf);
	struct crash_trace *c = calloc(1, sizeof(*c));
	int r;

	*ret = NULL;
	if (!c)
		return err_set(err, -ENOMEM, "out of memory");
	c->skel = crash_bpf__open_opts(&opts);
	if (c->skel)
		r = load(c, pid, nodes_fd, btf, err);
	else
		r = err_set(err, -errno, "cannot open the program for the target's end: %s", strerror(errno));
	if (!r)
		r = transport_add(t, bpf_map__fd(c->skel->maps.events), bpf_map__fd(c->skel->maps.lost), err);
	if (r)
		crash_trace_close(c);
	else
		*ret = c;
	return r;
}

void crash_trace_close(struct crash_trace *c)
{
	if (!c)
		return;
	crash_bpf__destroy(c->skel);
	free(c);
}

void crash_trace_usage(const struct crash_trace *c, struct session_usage *u)
{
	session_usage_add(u, c->skel->obj);
}
