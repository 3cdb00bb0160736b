// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Files of /proc; the first byte chooses which. */
#include "fuzz.h"
#include "proc/direct.h"
#include "proc/fd.h"
#include "proc/maps.h"
#include "proc/process.h"
#include "proc/task.h"
#include "symbol/kernel.h"

static void maps(const char *text, size_t len)
{
	FILE *f = fmemopen((char *)text, len, "r");
	struct proc_maps m;
	struct err err;

	if (!f)
		return;
	if (!proc_maps_parse(&m, f, &err)) {
		proc_maps_find(&m, 0x400000);
		proc_maps_deinit(&m);
	}
	fclose(f);
}

static void kernel_symbols(const char *text, size_t len)
{
	FILE *f = fmemopen((char *)text, len, "r");
	struct kernel_syms *k;

	if (!f)
		return;
	if (!kernel_syms_parse(&k, f, NULL)) {
		kernel_syms_find(k, 0xffffffff81000000);
		kernel_syms_close(k);
	}
	fclose(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proc_syscall call;
	struct proc_kstack stack;
	struct proc_status status;
	struct proc_thread thread;
	struct proc_epoll epoll;
	char *text;

	if (size < 2)
		return 0;
	text = text_of(data + 1, size - 1);
	switch (data[0]) {
	case 'm':
		maps(text, size - 1);
		break;
	case 'y':
		kernel_symbols(text, size - 1);
		break;
	case 'c':
		proc_syscall_parse(text, &call);
		break;
	case 'k':
		if (!proc_kstack_parse(text, &stack))
			proc_kstack_deinit(&stack);
		break;
	case 's':
		proc_status_parse(text, &status);
		break;
	case 't':
		proc_thread_parse(text, &thread);
		break;
	case 'e':
		if (!proc_epoll_parse(text, &epoll))
			proc_epoll_deinit(&epoll);
		break;
	case 'd':
		proc_fdinfo_direct(text);
		break;
	}
	free(text);
	return 0;
}
