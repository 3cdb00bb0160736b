// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <errno.h>
#include <unistd.h>

#include "trace/force.h"
#include "trace/multi.h"

/* errno of a multi-uprobe link of prog for pid on a path that is no file. */
static int multi_errno(int prog, pid_t pid)
{
	LIBBPF_OPTS(bpf_link_create_opts, co);
	unsigned long offset = 0;
	int link, err;

	co.uprobe_multi.path = "/";
	co.uprobe_multi.offsets = &offset;
	co.uprobe_multi.cnt = 1;
	co.uprobe_multi.pid = (__u32)pid;
	link = bpf_link_create(prog, -1, BPF_TRACE_UPROBE_MULTI, &co);
	err = link < 0 ? errno : 0;
	if (link >= 0)
		close(link);
	return err;
}

/* Kernels whose pid means a process look at it before the path, so that an impossible pid on a path that is
 * no file gives EINVAL, the others EBADF. Kernels without such links give EINVAL for every pid. */
bool multi_works(void)
{
	LIBBPF_OPTS(bpf_prog_load_opts, lo, .expected_attach_type = BPF_TRACE_UPROBE_MULTI);
	const struct bpf_insn insn[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int prog =
		forced(FORCE_NOMULTI) ? -1 : bpf_prog_load(BPF_PROG_TYPE_KPROBE, NULL, "GPL", insn, 2, &lo);
	bool works;

	if (prog < 0)
		return false;
	works = multi_errno(prog, -1) == EINVAL && multi_errno(prog, getpid()) == EBADF;
	close(prog);
	return works;
}
