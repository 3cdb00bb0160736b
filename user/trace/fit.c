// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "trace/fit.h"
#include "trace/force.h"

static bool enum_has(const struct btf *btf, const char *type, const char *name)
{
	int id = btf__find_by_name_kind(btf, type, BTF_KIND_ENUM);
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, (__u32)id) : NULL;

	for (__u16 i = 0; t && i < btf_vlen(t); i++) {
		const char *s = btf__name_by_offset(btf, btf_enum(t)[i].name_off);

		if (s && !strcmp(s, name))
			return true;
	}
	return false;
}

int fit_has_helper(const char *path, const char *name, bool *has, struct err *err)
{
	struct btf *btf = path ? btf__parse(path, NULL) : btf__load_vmlinux_btf();
	char full[64];

	if (!btf)
		return err_set(err, -errno, "cannot read the kernel's types: %s", strerror(errno));
	snprintf(full, sizeof(full), "BPF_FUNC_%s", name);
	*has = enum_has(btf, "bpf_func_id", full);
	btf__free(btf);
	return 0;
}

bool fit_has_functions(void)
{
	struct btf *btf = btf__new_empty();
	int rc, proto;

	if (forced(FORCE_NOGLOBAL) || !btf)
		goto out;
	/* kernels that know nothing of it refuse the mark of a global function */
	proto = btf__add_func_proto(btf, btf__add_int(btf, "int", 4, BTF_INT_SIGNED));
	rc = btf__add_func(btf, "f", BTF_FUNC_GLOBAL, proto);
	if (rc > 0 && !btf__load_into_kernel(btf)) {
		btf__free(btf);
		return true;
	}
out:
	btf__free(btf);
	return false;
}

/* Functions are verified alone since 5.6; libbpf says "static" to kernels before. */
static void without_global_functions(struct bpf_object *obj)
{
	const struct btf *btf = bpf_object__btf(obj);
	__u32 n = btf ? btf__type_cnt(btf) : 0;

	for (__u32 i = 1; i < n; i++) {
		struct btf_type *t = (struct btf_type *)btf__type_by_id(btf, i);

		if (btf_is_func(t))
			t->info = BTF_KIND_FUNC << 24 | BTF_FUNC_STATIC;
	}
}

int fit_object(struct bpf_object *obj, const char *btf, struct err *err)
{
	struct bpf_map *events = bpf_object__find_map_by_name(obj, "events");
	struct bpf_map *waiting = bpf_object__find_map_by_name(obj, "emit_waiting");
	bool ring = true;
	int rc;

	if (forced(FORCE_NOGLOBAL))
		without_global_functions(obj);
	if (!events)
		return 0;
	rc = fit_has_helper(btf, "ringbuf_output", &ring, err);
	if (rc)
		return rc;
	if (ring)
		return waiting ? bpf_map__set_max_entries(waiting, 1) : 0;
	rc = bpf_map__set_type(events, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	if (!rc)
		rc = bpf_map__set_key_size(events, sizeof(__u32));
	if (!rc)
		rc = bpf_map__set_value_size(events, sizeof(__u32));
	if (!rc)
		rc = bpf_map__set_max_entries(events, 0); /* libbpf: one for each possible CPU */
	return rc ? err_set(err, rc, "cannot set up perf buffers: %s", strerror(-rc)) : 0;
}
