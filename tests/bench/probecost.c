// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What traps cost here, and the empty probe that `make bench` compares with.
 *   probecost calibrate WHAT      CPU time in ns of one trap with a program that does nothing: an uprobe
 * whose instruction the kernel emulates, one that it single-steps (`emulated`, `stepped`), a `watchpoint`
 * hit. In a virtual machine a stray debug trap may kill this process. probecost hold PID FILE ADDR  an empty
 * uprobe at ADDR (as in the file's symbols) until stdin ends; prints "ready" probecost stats has the kernel
 * take the time of BPF programs until stdin ends; prints "ready"
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "elf/elf_file.h"
#include "empty.skel.h"
#include "proc/maps.h"
#include "trace/hwbp.h"

#define UPROBE_CALLS 2000
#define STORES	     2000

/* The entry instruction is what counts: push is emulated, lea is not. */
__asm__(".text\n"
	".type bench_emulated, @function\n"
	"bench_emulated: push %rbp; pop %rbp; ret\n"
	".size bench_emulated, . - bench_emulated\n"
	".type bench_stepped, @function\n"
	"bench_stepped: lea 1(%rdi), %rax; ret\n"
	".size bench_stepped, . - bench_stepped\n");
void bench_emulated(void);
void bench_stepped(void);

static volatile uint64_t word __attribute__((aligned(8)));

static int die(const char *what, int code)
{
	fprintf(stderr, "probecost: %s: %s\n", what, strerror(code < 0 ? -code : code));
	return 1;
}

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double time_calls(void (*fn)(void))
{
	double start = cpu_ns();

	for (int i = 0; i < UPROBE_CALLS; i++)
		fn();
	return (cpu_ns() - start) / UPROBE_CALLS;
}

static double time_stores(void)
{
	double start = cpu_ns();

	for (uint64_t i = 0; i < STORES; i++)
		word = i;
	return (cpu_ns() - start) / STORES;
}

static struct bpf_link *attach(const struct empty_bpf *skel, pid_t pid, const char *path,
			       unsigned long offset)
{
	LIBBPF_OPTS(bpf_uprobe_multi_opts, opts, .offsets = &offset, .cnt = 1);

	return bpf_program__attach_uprobe_multi(skel->progs.bench_empty, pid, path, NULL, &opts);
}

/* Negative: -errno. */
static double uprobe_ns(const struct empty_bpf *skel, void (*fn)(void))
{
	uint64_t addr = (uintptr_t)fn;
	const struct proc_map *m;
	struct proc_maps maps;
	struct bpf_link *link;
	double bare, ns;

	if (proc_maps_read(&maps, getpid(), NULL))
		return -EIO;
	m = proc_maps_find(&maps, addr);
	link = m ? attach(skel, getpid(), "/proc/self/exe", addr - m->start + m->offset) : NULL;
	proc_maps_deinit(&maps);
	if (!link)
		return -errno;
	time_calls(fn);
	ns = time_calls(fn);
	bpf_link__destroy(link);
	bare = time_calls(fn);
	return ns - bare;
}

/* Negative: -errno. */
static double watchpoint_ns(const struct empty_bpf *skel)
{
	struct hwbp_cpus cpus;
	struct err err = {0};
	struct hwbp *w;
	double bare = time_stores(), ns = -EIO;

	if (hwbp_cpus_online(&cpus, &err))
		return err.code;
	if (hwbp_open(&w, &cpus, bpf_program__fd(skel->progs.bench_hit), &err)) {
		hwbp_cpus_deinit(&cpus);
		return err.code;
	}
	if (!hwbp_move(w, (uintptr_t)&word, sizeof(word), &err)) {
		ns = time_stores();
		if (hwbp_count(w) < STORES)
			ns = -EIO;
	}
	hwbp_close(w);
	hwbp_cpus_deinit(&cpus);
	return ns < 0 ? ns : ns - bare;
}

static int calibrate(const struct empty_bpf *skel, const char *what)
{
	double ns;

	if (!strcmp(what, "emulated"))
		ns = uprobe_ns(skel, bench_emulated);
	else if (!strcmp(what, "stepped"))
		ns = uprobe_ns(skel, bench_stepped);
	else
		ns = watchpoint_ns(skel);
	if (ns < 0)
		return die(what, (int)ns);
	printf("%.1f\n", ns);
	return 0;
}

static void hold(void)
{
	printf("ready\n");
	fflush(stdout);
	while (getchar() != EOF)
		;
}

static int hold_probe(const struct empty_bpf *skel, pid_t pid, const char *path, uint64_t vaddr)
{
	struct bpf_link *link;
	struct elf_file *elf;
	struct err err = {0};
	uint64_t offset;
	bool known;

	if (elf_file_open(&elf, path, &err)) {
		fprintf(stderr, "probecost: %s\n", err.msg);
		return 1;
	}
	known = elf_vaddr_to_offset(elf, vaddr, &offset);
	elf_file_close(elf);
	if (!known)
		return die("no such address in the file", EINVAL);
	link = attach(skel, pid, path, offset);
	if (!link)
		return die("cannot attach", errno);
	hold();
	bpf_link__destroy(link);
	return 0;
}

int main(int argc, char **argv)
{
	struct empty_bpf *skel;
	int ret = 2;

	if (argc == 2 && !strcmp(argv[1], "stats")) {
		int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

		if (fd < 0)
			return die("cannot switch the statistics on", fd);
		hold();
		close(fd);
		return 0;
	}
	skel = empty_bpf__open_and_load();
	if (!skel)
		return die("the kernel refused an empty program", errno);
	if (argc == 3 && !strcmp(argv[1], "calibrate"))
		ret = calibrate(skel, argv[2]);
	else if (argc == 5 && !strcmp(argv[1], "hold"))
		ret = hold_probe(skel, (pid_t)atoi(argv[2]), argv[3], strtoull(argv[4], NULL, 0));
	else
		fprintf(stderr, "usage: probecost calibrate emulated|stepped|watchpoint | hold PID FILE ADDR "
				"| stats\n");
	empty_bpf__destroy(skel);
	return ret;
}
