// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * stackdump PID [TID [PARAM]]: stacks of the blocked threads from /proc's sp and pc alone, one frame per
 * line: "thread TID syscall", then "INDEX|ADDRESS|SYMBOL|FILE|LINE|inlined or -|MODULE", "PARAM=0x.." where
 * it is known, and last "end complete" or "end truncated".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proc/task.h"
#include "symbol/image.h"

static void dump(struct image *im, pid_t pid, pid_t tid, const char *param)
{
	struct image_regs regs = {.known = IMAGE_REGS_SP_IP};
	struct frames f = {0};
	struct proc_syscall s;
	uint64_t v;

	if (proc_task_syscall(pid, tid, &s) || s.state == PROC_RUNNING)
		return;
	regs.reg[ABI_REG_SP] = s.sp;
	regs.reg[ABI_REG_IP] = s.pc;
	printf("thread %d %s\n", (int)tid,
	       s.nr >= 0 && proc_syscall_name(s.nr) ? proc_syscall_name(s.nr) : "-");
	if (image_unwind_live(im, &regs, &f))
		exit(1);
	for (size_t i = 0; i < f.n; i++) {
		const struct frame *x = &f.v[i];

		printf("%zu|%llx|%s|%s|%d|%s|%s\n", i, (unsigned long long)x->addr,
		       x->symbol ? x->symbol : "??", x->file ? x->file : "-", x->line,
		       x->inlined ? "inlined" : "-", x->module ? x->module : "-");
		if (param && !image_frame_param(im, i, param, &v))
			printf("%s=0x%llx\n", param, (unsigned long long)v);
	}
	printf("end %s\n", f.truncated ? "truncated" : "complete");
	frames_deinit(&f);
}

int main(int argc, char **argv)
{
	struct proc_threads t;
	struct image *im;
	struct err err;
	pid_t pid, tid;

	if (argc < 2 || argc > 4) {
		fprintf(stderr, "usage: stackdump PID [TID [PARAM]]\n");
		return 2;
	}
	pid = atoi(argv[1]);
	tid = argc > 2 ? atoi(argv[2]) : 0;
	if (image_open(&im, pid, NULL, &err) || proc_threads_read(&t, pid, &err)) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	for (size_t i = 0; i < t.n; i++) {
		if (!tid || t.v[i].tid == tid)
			dump(im, pid, t.v[i].tid, argc == 4 ? argv[3] : NULL);
	}
	proc_threads_deinit(&t);
	image_close(im);
	return 0;
}
