// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Runs stackcopy.bpf.o on itself: the bytes and registers that each kind of program copies must be this
 * thread's own. Prints "ok NAME" or "FAIL NAME why" per case; exit code 1 if one failed.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "stackcopy.h"

#define STACK_SIZE (64 * 1024)

static int copies_fd, wanted_fd, failed;
static char *stack_low; /* of the test threads; what is above its end is not mapped */

static void check(const char *name, bool ok, const char *why)
{
	printf("%s %s%s%s\n", ok ? "ok" : "FAIL", name, ok ? "" : ": ", ok ? "" : why);
	failed |= !ok;
}

static struct copy *fetch(unsigned kind)
{
	static struct copy c;

	memset(&c, 0, sizeof(c));
	if (bpf_map_lookup_elem(copies_fd, &kind, &c))
		return NULL;
	return &c;
}

static void forget(unsigned kind)
{
	static const struct copy none;

	bpf_map_update_elem(copies_fd, &kind, &none, BPF_ANY);
}

/* The probed function: keeps its caller's frame as it is while the copy is compared with it. */
void probed(void);
__attribute__((noinline, used)) void probed(void)
{
	__asm__ volatile("" ::: "memory");
}

/*
 * What the copy must be: from its sp up to the end of the mapping, at most ABI_STACK_BYTES. The bytes of pad
 * are compared: what is below is gone or reused by now, what is above belongs to functions that went on.
 */
static void compare(const char *name, unsigned kind, const char *pad, size_t len)
{
	struct copy *c = fetch(kind);
	const char *sp, *end = stack_low + STACK_SIZE;
	size_t want, skip, to;

	if (!c || !c->taken) {
		check(name, false, "the program did not run");
		return;
	}
	sp = (const char *)c->stack.reg[ABI_REG_SP];
	if (sp < stack_low || sp >= end) {
		check(name, false, "sp is not on the stack");
		return;
	}
	want = (size_t)(end - sp) < ABI_STACK_BYTES ? (size_t)(end - sp) : ABI_STACK_BYTES;
	skip = (size_t)(pad - sp);
	to = skip + len < want ? skip + len : want;
	check(name, c->stack.len == want, "another length");
	check(name, !!(c->stack.flags & ABI_STACK_TRUNCATED) == (want == ABI_STACK_BYTES), "truncated flag");
	check(name, pad >= sp && skip < to && !memcmp(c->stack.data + skip, pad, to - skip), "other bytes");
}

struct task {
	const char *name;
	unsigned kind;
	size_t depth; /* bytes of stack to use first */
};

static void trigger(unsigned kind)
{
	if (kind == COPY_UPROBE)
		probed();
	else
		syscall(SYS_getppid);
}

static void burn(void)
{
	for (volatile unsigned i = 0; i < 200000000u; i++) {
		struct copy *c = i % 1000000 ? NULL : fetch(COPY_PERF);

		if (c && c->taken)
			break;
	}
}

static void *run(void *arg)
{
	const struct task *t = arg;
	unsigned zero = 0, tid = (unsigned)syscall(SYS_gettid);
	volatile char *pad = __builtin_alloca(t->depth);

	for (size_t i = 0; i < t->depth; i++)
		pad[i] = (char)(i * 7 + i / 256);
	forget(t->kind);
	bpf_map_update_elem(wanted_fd, &zero, &tid, BPF_ANY);
	if (t->kind == COPY_PERF)
		burn();
	else
		trigger(t->kind);
	tid = 0;
	bpf_map_update_elem(wanted_fd, &zero, &tid, BPF_ANY);
	compare(t->name, t->kind, (const char *)pad, t->depth);
	return NULL;
}

static void on_thread(struct task t)
{
	pthread_attr_t attr;
	pthread_t id;

	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, stack_low, STACK_SIZE);
	if (pthread_create(&id, &attr, run, &t)) {
		check(t.name, false, "no thread");
		return;
	}
	pthread_join(id, NULL);
}

static void *sleeper(void *arg)
{
	*(volatile unsigned *)arg = (unsigned)syscall(SYS_gettid);
	pause();
	return NULL;
}

/* The registers that the iterator sees of a blocked thread, against /proc/PID/task/TID/syscall. */
static void iterate(struct bpf_object *obj)
{
	unsigned long long sp = 0, pc = 0;
	volatile unsigned tid = 0;
	unsigned zero = 0, key;
	struct bpf_link *link;
	struct copy *c;
	char path[64], buf[256];
	pthread_t id;
	FILE *f;
	int fd;

	pthread_create(&id, NULL, sleeper, (void *)&tid);
	while (!tid)
		usleep(1000);
	usleep(50000);
	key = tid;
	bpf_map_update_elem(wanted_fd, &zero, &key, BPF_ANY);
	link = bpf_program__attach_iter(bpf_object__find_program_by_name(obj, "at_iter"), NULL);
	fd = link ? bpf_iter_create(bpf_link__fd(link)) : -1;
	if (fd < 0) {
		check("iter", false, "no iterator");
		return;
	}
	while (read(fd, buf, sizeof(buf)) > 0)
		;
	close(fd);
	bpf_link__destroy(link);
	snprintf(path, sizeof(path), "/proc/self/task/%u/syscall", tid);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%*d %*x %*x %*x %*x %*x %*x %llx %llx", &sp, &pc) != 2)
		sp = pc = 0;
	if (f)
		fclose(f);
	c = fetch(COPY_ITER);
	check("iter", c && c->taken == 1, "taken once");
	check("iter", c && sp && c->stack.reg[ABI_REG_SP] == sp && c->stack.reg[ABI_REG_IP] == pc,
	      "sp and pc");
}

static struct bpf_link *attach(struct bpf_object *obj, const char *prog)
{
	struct bpf_program *p = bpf_object__find_program_by_name(obj, prog);
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.size = sizeof(attr),
		.sample_period = 1000000,
		.inherit = 1,
	};

	if (!strcmp(prog, "at_uprobe")) {
		LIBBPF_OPTS(bpf_uprobe_opts, o, .func_name = "probed");

		return bpf_program__attach_uprobe_opts(p, 0, "/proc/self/exe", 0, &o);
	}
	if (!strcmp(prog, "at_perf"))
		return bpf_program__attach_perf_event(
			p, (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
	return bpf_program__attach(p);
}

int main(int argc, char **argv)
{
	static const char *const progs[] = {"at_uprobe", "at_tracepoint", "at_perf"};
	struct bpf_object *obj;
	char *p;

	obj = argc == 2 ? bpf_object__open(argv[1]) : NULL;
	if (!obj || bpf_object__load(obj)) {
		fprintf(stderr, "usage: stackcopy OBJECT (as root): %s\n", strerror(errno));
		return 2;
	}
	copies_fd = bpf_object__find_map_fd_by_name(obj, "copies");
	wanted_fd = bpf_object__find_map_fd_by_name(obj, "wanted");
	p = mmap(NULL, STACK_SIZE + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED || munmap(p + STACK_SIZE, 4096))
		return 2;
	stack_low = p;
	for (size_t i = 0; i < 3; i++) {
		if (!attach(obj, progs[i])) {
			fprintf(stderr, "%s: cannot attach: %s\n", progs[i], strerror(errno));
			return 2;
		}
	}
	/* around the places where one page less or more is readable, and far from the end of the stack */
	for (size_t depth = 2000; depth < 30000; depth += 517) {
		on_thread((struct task){"uprobe", COPY_UPROBE, depth});
		on_thread((struct task){"tracepoint", COPY_TRACEPOINT, depth});
	}
	on_thread((struct task){"perf_event short", COPY_PERF, 3000});
	on_thread((struct task){"perf_event long", COPY_PERF, 30000});
	iterate(obj);
	return failed;
}
