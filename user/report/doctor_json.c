// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>

#include "report/doctor.h"
#include "report/report.h"

static json_t *text_or_null(const char *s)
{
	return json_str(s && s[0] ? s : NULL);
}

static json_t *feature_json(const struct feature *f)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "kind", "capability", "name", f->name,
			 "state", feature_state_name(f->state), "used_for", f->used_for, "why",
			 text_or_null(f->why), "fallback", json_str(f->fallback), "change",
			 text_or_null(f->change));
}

static const char *debug_name(enum elf_debug_state state, const char *profile)
{
	return profile ? "profile" : elf_debug_state_name(state);
}

static json_t *libs_json(const struct target_facts *t)
{
	json_t *a = json_array();

	for (size_t i = 0; i < t->n_libs; i++)
		json_array_append_new(a, json_pack("{s:o, s:o, s:s, s:o, s:b, s:b}", "path",
						   json_str(t->lib[i].path), "build_id",
						   text_or_null(t->lib[i].build_id), "debuginfo",
						   debug_name(t->lib[i].debug, t->lib[i].profile), "profile",
						   json_str(t->lib[i].profile), "replaced", t->lib[i].deleted,
						   "readable", t->lib[i].readable));
	return a;
}

static json_t *plan_json(const struct doctor_report *r)
{
	const struct target_facts *t = r->target;
	const struct writes_plan *p = t->plan;
	size_t inlined, stepped;

	if (!r->spec)
		return json_null();
	if (!p)
		return json_pack("{s:s, s:o}", "spec", r->spec, "error", json_str(t->plan_err.msg));
	target_plan_sites(p, &inlined, &stepped);
	return json_pack("{s:s, s:n, s:I, s:o, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I}}", "spec", r->spec,
			 "error", "sites", (json_int_t)p->n_probes, "missing",
			 json_strs(p->missing, p->n_missing), "inlined", (json_int_t)inlined,
			 "single_stepped", (json_int_t)stepped, "types", (json_int_t)p->n_types, "fields",
			 "by_invariant", (json_int_t)p->coverage.invariant, "by_change",
			 (json_int_t)p->coverage.judged, "changes_accepted", (json_int_t)p->coverage.changes,
			 "not_looked_at", (json_int_t)p->coverage.opaque + p->coverage.too_far);
}

static json_t *target_json(const struct doctor_report *r)
{
	const struct target_facts *t = r->target;
	json_t *v = json_pack("{s:s, s:i, s:o, s:i, s:o, s:o, s:s, s:o}", "kind", "target", "pid", r->pid,
			      "comm", json_str(t->status.comm), "threads", (int)t->status.threads, "binary",
			      json_str(t->exe.path), "build_id", json_str(t->exe.build_id), "debuginfo",
			      debug_name(t->debug.state, t->profile), "debuginfo_path",
			      text_or_null(t->profile ? NULL : t->debug.path));

	json_object_set_new(v, "profile", json_str(t->profile));
	json_object_set_new(v, "libraries", libs_json(t));
	json_object_set_new(v, "namespaces", text_or_null(t->namespaces));
	json_object_set_new(v, "pid_inside",
			    t->status.ns_depth > 1 ? json_integer(t->status.ns_pid[t->status.ns_depth - 1])
						   : json_null());
	json_object_set_new(v, "coroutines", json_str(t->coroutines));
	json_object_set_new(v, "tracer", t->status.tracer ? json_integer(t->status.tracer) : json_null());
	json_object_set_new(v, "plan", plan_json(r));
	json_object_set_new(v, "hit_ns", r->uprobe_ns > 0 ? json_real(r->uprobe_ns) : json_null());
	json_object_set_new(
		v, "budget_hits_per_s",
		r->uprobe_ns > 0 ? json_integer((json_int_t)(r->max_overhead_pct / 100 * 1e9 / r->uprobe_ns))
				 : json_null());
	return v;
}

int doctor_json(const struct doctor_report *r)
{
	const struct node *n = r->node;
	char missing[2][256];
	json_t *summary;
	int rc = 0;

	for (int i = 0; i < FEATURE_MAX && !rc; i++)
		rc = json_line(stdout, feature_json(&r->feature[i]));
	if (r->target && !rc)
		rc = json_line(stdout, target_json(r));
	if (rc)
		return rc;
	summary = json_pack(
		"{s:s, s:s, s:s, s:b, s:s, s:b, s:b}", "kind", "summary", "command", "doctor", "kernel",
		n->release, "virtual_machine", r->virtual_machine, "lockdown", n->lockdown, "writes_can_run",
		features_allow(r->feature, true, missing[0], sizeof(missing[0])), "stalls_can_run",
		features_allow(r->feature, false, missing[1], sizeof(missing[1])));
	json_object_set_new(summary, "selinux",
			    n->selinux < 0 ? json_null()
					   : json_string(n->selinux ? "enforcing" : "permissive"));
	json_object_set_new(summary, "seccomp", json_boolean(n->seccomp != 0));
	json_object_set_new(summary, "container", text_or_null(n->container));
	json_object_set_new(summary, "user_namespace", json_boolean(n->user_ns));
	json_object_set_new(summary, "pid_namespace", json_boolean(n->pid_ns));
	json_object_set_new(summary, "forced", json_str(r->forced));
	return json_line(stdout, summary);
}
