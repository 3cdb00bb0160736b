// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The programs of `writes`, of which there are two kinds. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "trace/fit.h"
#include "trace/writes_priv.h"
#include "writes.skel.h"
#include "writes_old.skel.h"

static void find_tables(struct writes_kernel *k)
{
	const struct {
		const char *name;
		struct bpf_map **map;
	} tables[] = {
		{"cfg", &k->cfg},	{"types", &k->types},	    {"fields", &k->fields},
		{"probes", &k->probes}, {"hits", &k->hits},	    {"sites", &k->sites},
		{"calls", &k->calls},	{"counters", &k->counters}, {"events", &k->events},
		{"lost", &k->lost},	{"objects", &k->objects},   {"nodes", &k->nodes},
		{"pieces", &k->pieces},
	};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		*tables[i].map = bpf_object__find_map_by_name(k->obj, tables[i].name);
	k->on_object = bpf_object__find_program_by_name(k->obj, "on_object");
	k->on_destroy = bpf_object__find_program_by_name(k->obj, "on_destroy");
	k->on_node = bpf_object__find_program_by_name(k->obj, "on_node");
}

int writes_kernel_open(struct writes_kernel *k, const char *btf, struct err *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = btf, .object_name = "writes_bpf");
	const void *elf;
	size_t size;

	k->old = !fit_has_functions();
	elf = k->old ? writes_old_bpf__elf_bytes(&size) : writes_bpf__elf_bytes(&size);
	k->obj = bpf_object__open_mem(elf, size, &opts);
	if (!k->obj)
		return err_set(err, -errno, "cannot open the kernel programs of 'writes': %s",
			       strerror(errno));
	find_tables(k);
	return 0;
}

int writes_kernel_load(struct writes_kernel *k)
{
	static const char *const tails[WR_TAILS] = {
		[WR_TAIL_DIGEST] = "tail_digest", [WR_TAIL_WALK] = "tail_walk", [WR_TAIL_END] = "tail_end"};
	int rc = bpf_object__load(k->obj), map;

	if (rc || !k->old)
		return rc;
	map = bpf_object__find_map_fd_by_name(k->obj, "tails");
	for (__u32 i = 0; i < WR_TAILS; i++) {
		int fd = bpf_program__fd(bpf_object__find_program_by_name(k->obj, tails[i]));

		if (bpf_map_update_elem(map, &i, &fd, BPF_ANY))
			return -errno;
	}
	return 0;
}

void writes_kernel_close(struct writes_kernel *k)
{
	bpf_object__close(k->obj);
}
