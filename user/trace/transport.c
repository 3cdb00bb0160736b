// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace/transport.h"

#define TRANSPORT_OBJECTS 8

struct transport {
	struct ring_buffer *rb;
	transport_sink sink;
	void *ctx;
	int lost_fd[TRANSPORT_OBJECTS];
	size_t n;
	uint64_t seen, malformed;
};

static int on_record(void *ctx, void *data, size_t size)
{
	struct transport *t = ctx;
	const struct abi_hdr *h = data;

	if (size < sizeof(*h) || h->size < sizeof(*h) || h->size > size) {
		t->malformed++;
		return 0;
	}
	t->seen++;
	t->sink(t->ctx, h);
	return 0;
}

int transport_create(struct transport **ret, transport_sink sink, void *ctx, struct err *err)
{
	struct transport *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(err, -ENOMEM, "out of memory");
	t->sink = sink;
	t->ctx = ctx;
	*ret = t;
	return 0;
}

int transport_add(struct transport *t, int events_fd, int lost_fd, struct err *err)
{
	int rc;

	if (t->n == TRANSPORT_OBJECTS)
		return err_set(err, -E2BIG, "more than %d BPF objects in one session", TRANSPORT_OBJECTS);
	if (!t->rb) {
		t->rb = ring_buffer__new(events_fd, on_record, t, NULL);
		rc = t->rb ? 0 : -errno;
	} else {
		rc = ring_buffer__add(t->rb, events_fd, on_record, t);
	}
	if (rc)
		return err_set(err, rc, "cannot open the ring buffer: %s", strerror(-rc));
	t->lost_fd[t->n++] = lost_fd;
	return 0;
}

int transport_fd(const struct transport *t)
{
	return t->rb ? ring_buffer__epoll_fd(t->rb) : -1;
}

int transport_drain(struct transport *t, struct err *err)
{
	int rc = t->rb ? ring_buffer__consume(t->rb) : 0;

	return rc < 0 ? err_set(err, rc, "cannot read the ring buffer: %s", strerror(-rc)) : 0;
}

uint64_t transport_seen(const struct transport *t)
{
	return t->seen;
}

uint64_t transport_malformed(const struct transport *t)
{
	return t->malformed;
}

uint64_t transport_lost(const struct transport *t, unsigned what)
{
	int n_cpus = libbpf_num_possible_cpus();
	uint64_t sum = 0, *v;
	__u32 key = what;

	if (n_cpus <= 0)
		return 0;
	v = calloc((size_t)n_cpus, sizeof(*v));
	if (!v)
		return 0;
	for (size_t i = 0; i < t->n; i++) {
		if (t->lost_fd[i] < 0 || bpf_map_lookup_elem(t->lost_fd[i], &key, v))
			continue;
		for (int c = 0; c < n_cpus; c++)
			sum += v[c];
	}
	free(v);
	return sum;
}

void transport_destroy(struct transport *t)
{
	if (!t)
		return;
	ring_buffer__free(t->rb);
	free(t);
}
