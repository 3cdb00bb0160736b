// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "trace/transport.h"
#include "util/grow.h"
#include "util/pages.h"

#define TRANSPORT_OBJECTS 256 /* a few for each process that may be guarded */
/* Perf buffers are one per CPU and object: together as large as the ring buffer that they stand for, as far
 * as these bounds allow. */
#define PERF_TOTAL (16u << 20)
#define PERF_MIN   (256u << 10) /* 15 records with a whole stack each */
#define PERF_MAX   (4u << 20)

/* A record that was read from a CPU's buffer and waits for those of the others. */
struct held {
	uint64_t ts_ns;
	size_t no; /* the order within one buffer stays */
	struct abi_hdr *rec;
};

struct transport {
	int epoll_fd;
	struct ring_buffer *rb;
	struct perf_buffer *pb[TRANSPORT_OBJECTS];
	size_t n_pb;
	transport_sink sink;
	void *ctx;
	int lost_fd[TRANSPORT_OBJECTS];
	size_t n;
	struct held *held;
	size_t n_held;
	uint64_t seen, malformed;
	uint64_t pb_lost; /* that the kernel told of in the buffers themselves */
	uint64_t unheld;  /* no memory for them */
};

static bool well_formed(struct transport *t, const struct abi_hdr *h, size_t size)
{
	if (size >= sizeof(*h) && h->size >= sizeof(*h) && h->size <= size)
		return true;
	t->malformed++;
	return false;
}

static int on_record(void *ctx, void *data, size_t size)
{
	struct transport *t = ctx;

	if (well_formed(t, data, size)) {
		t->seen++;
		t->sink(t->ctx, data);
	}
	return 0;
}

/* Not always aligned in the buffer, and gone when this returns: copied. */
static void on_sample(void *ctx, int cpu, void *data, __u32 size)
{
	struct transport *t = ctx;
	struct held *h;

	(void)cpu;
	if (GROW(&t->held, t->n_held)) {
		t->unheld++;
		return;
	}
	h = &t->held[t->n_held];
	h->rec = malloc(size > sizeof(*h->rec) ? size : sizeof(*h->rec));
	if (!h->rec) {
		t->unheld++;
		return;
	}
	memset(h->rec, 0, sizeof(*h->rec));
	memcpy(h->rec, data, size);
	if (!well_formed(t, h->rec, size)) {
		free(h->rec);
		return;
	}
	h->ts_ns = h->rec->ts_ns;
	h->no = t->n_held++;
}

static void on_lost(void *ctx, int cpu, __u64 n)
{
	struct transport *t = ctx;

	(void)cpu;
	t->pb_lost += n;
}

static int by_time(const void *a, const void *b)
{
	const struct held *x = a, *y = b;

	if (x->ts_ns != y->ts_ns)
		return x->ts_ns < y->ts_ns ? -1 : 1;
	return x->no < y->no ? -1 : x->no > y->no;
}

static void held_deliver(struct transport *t)
{
	struct held *v = t->held;
	size_t n = t->n_held;

	t->held = NULL;
	t->n_held = 0;
	if (n)
		qsort(v, n, sizeof(*v), by_time);
	for (size_t i = 0; i < n; i++) {
		t->seen++;
		t->sink(t->ctx, v[i].rec);
		free(v[i].rec);
	}
	free(v);
}

int transport_create(struct transport **ret, transport_sink sink, void *ctx, struct err *err)
{
	struct transport *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(err, -ENOMEM, "out of memory");
	t->sink = sink;
	t->ctx = ctx;
	t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (t->epoll_fd < 0) {
		free(t);
		return err_set(err, -errno, "cannot wait for records: %s", strerror(errno));
	}
	*ret = t;
	return 0;
}

static int watch(struct transport *t, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN};

	return epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static int add_ring(struct transport *t, int events_fd)
{
	if (t->rb)
		return ring_buffer__add(t->rb, events_fd, on_record, t);
	t->rb = ring_buffer__new(events_fd, on_record, t, NULL);
	return t->rb ? watch(t, ring_buffer__epoll_fd(t->rb)) : -errno;
}

/* A power of 2, as the kernel wants. */
static size_t perf_pages(void)
{
	int cpus = libbpf_num_possible_cpus();
	unsigned want = PERF_TOTAL / (cpus > 0 ? (unsigned)cpus : 1), bytes = PERF_MIN;

	while (bytes < want && bytes < PERF_MAX)
		bytes *= 2;
	return bytes / page_size();
}

static int add_perf(struct transport *t, int events_fd)
{
	struct perf_buffer *pb = perf_buffer__new(events_fd, perf_pages(), on_sample, on_lost, t, NULL);

	if (!pb)
		return -errno;
	t->pb[t->n_pb++] = pb;
	return watch(t, perf_buffer__epoll_fd(pb));
}

int transport_add(struct transport *t, int events_fd, int lost_fd, struct err *err)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	int rc;

	if (t->n == TRANSPORT_OBJECTS)
		return err_set(err, -E2BIG, "more than %d BPF objects in one session", TRANSPORT_OBJECTS);
	if (bpf_map_get_info_by_fd(events_fd, &info, &len))
		return err_set(err, -errno, "cannot read what kind of buffer there is: %s", strerror(errno));
	if (info.type == BPF_MAP_TYPE_PERF_EVENT_ARRAY)
		rc = add_perf(t, events_fd);
	else
		rc = add_ring(t, events_fd);
	if (rc)
		return err_set(err, rc, "cannot open the %s buffer: %s",
			       info.type == BPF_MAP_TYPE_PERF_EVENT_ARRAY ? "perf" : "ring", strerror(-rc));
	t->lost_fd[t->n++] = lost_fd;
	return 0;
}

int transport_fd(const struct transport *t)
{
	return t->n ? t->epoll_fd : -1;
}

int transport_drain(struct transport *t, struct err *err)
{
	int rc = t->rb ? ring_buffer__consume(t->rb) : 0;

	if (rc < 0)
		return err_set(err, rc, "cannot read the ring buffer: %s", strerror(-rc));
	for (size_t i = 0; i < t->n_pb; i++) {
		rc = perf_buffer__consume(t->pb[i]);
		if (rc < 0)
			return err_set(err, rc, "cannot read the perf buffers: %s", strerror(-rc));
	}
	held_deliver(t);
	return 0;
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
	if (what != ABI_LOST_RING)
		return sum;
	/* both count the same losses; before 5.1 the programs do not see theirs */
	return (sum > t->pb_lost ? sum : t->pb_lost) + t->unheld;
}

void transport_destroy(struct transport *t)
{
	if (!t)
		return;
	ring_buffer__free(t->rb);
	for (size_t i = 0; i < t->n_pb; i++)
		perf_buffer__free(t->pb[i]);
	for (size_t i = 0; i < t->n_held; i++)
		free(t->held[i].rec);
	free(t->held);
	close(t->epoll_fd);
	free(t);
}
