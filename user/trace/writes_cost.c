// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a probe hit costs here: probes on two functions of our own, one emulated and one single-stepped by the
 * kernel. */
#include <bpf/libbpf.h>
#include <stdint.h>
#include <unistd.h>

#include "proc/maps.h"
#include "trace/session.h"
#include "trace/writes_priv.h"

#define ROUNDS 1000

#if defined(__x86_64__)
/* The entry instruction is what counts: push is emulated, lea is not. */
__asm__(".text\n"
	".type culprit_cost_emulated, @function\n"
	"culprit_cost_emulated: push %rbp; pop %rbp; ret\n"
	".size culprit_cost_emulated, . - culprit_cost_emulated\n"
	".type culprit_cost_stepped, @function\n"
	"culprit_cost_stepped: lea 1(%rdi), %rax; ret\n"
	".size culprit_cost_stepped, . - culprit_cost_stepped\n");
void culprit_cost_emulated(void);
void culprit_cost_stepped(void);

static double cost_of(const struct writes_trace *t, const struct proc_maps *maps, void (*fn)(void))
{
	const struct proc_map *m = proc_maps_find(maps, (uint64_t)(uintptr_t)fn);
	uint64_t cookie = UINT32_MAX, start, bare;
	struct bpf_link *link;
	unsigned long offset;

	if (!m)
		return 0;
	start = mono_now_ns();
	for (int i = 0; i < ROUNDS; i++)
		fn();
	bare = mono_now_ns() - start;
	offset = (uintptr_t)fn - m->start + m->offset;
	link = attach_sites(t, t->kernel.on_node, getpid(), "/proc/self/exe", &offset, &cookie, 1);
	if (!link)
		return 0;
	start = mono_now_ns();
	for (int i = 0; i < ROUNDS; i++)
		fn();
	start = mono_now_ns() - start;
	bpf_link__destroy(link);
	return start > bare ? (double)(start - bare) / ROUNDS : 0;
}

void writes_calibrate(struct writes_trace *t)
{
	struct proc_maps maps;

	if (proc_maps_read(&maps, getpid(), NULL))
		return;
	t->cost.emulated_ns = cost_of(t, &maps, culprit_cost_emulated);
	t->cost.stepped_ns = cost_of(t, &maps, culprit_cost_stepped);
	proc_maps_deinit(&maps);
}
#else
void writes_calibrate(struct writes_trace *t)
{
	t->cost = (struct writes_cost){0};
}
#endif
