// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * tool PROG [off|auto|all]: runs prog.cc's program with the plan and the kernel programs of `culprit writes`
 * on it, with a library of its own (librec.so) if it has one, phase by phase, and prints as JSON Lines which licences each phase gave:
 * {"phase","node","whole","fields"}; at the end {"fields":[..],"probes"..}.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plan/writes.h"
#include "proc/maps.h"
#include "trace/session.h"
#include "trace/writes.h"

#define MAX_NODES 256
#define AHEAD_NS  60000000000ull

struct world {
	pid_t pid;
	FILE *from, *to;
	int index[MAX_NODES];
	uint64_t addr[MAX_NODES];
	size_t n_nodes;
	char exe[64];
	struct dbg *dbg;
	struct spec *spec;
	struct proc_maps maps;
	uint64_t bias;
	struct dbg *library_dbg; /* NULL: it has none */
	struct plan_module library;
	char library_path[64];
	struct writes_plan *plan;
	struct writes_trace *trace;
};

static void die(const char *what)
{
	fprintf(stderr, "tool: %s\n", what);
	exit(2);
}

static void run(struct world *w, const char *program)
{
	int in[2], out[2];

	if (pipe(in) || pipe(out))
		die("pipe");
	w->pid = fork();
	if (!w->pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[0]);
		close(in[1]);
		close(out[0]);
		close(out[1]);
		execl(program, program, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	w->to = fdopen(in[1], "w");
	w->from = fdopen(out[0], "r");
	if (w->pid < 0 || !w->to || !w->from)
		die("fork");
}

/* Its next line; NULL at the end. */
static char *answer(struct world *w)
{
	static char line[256];

	if (!fgets(line, sizeof(line), w->from))
		return NULL;
	line[strcspn(line, "\n")] = '\0';
	return line;
}

static void go_on(struct world *w)
{
	fputs("\n", w->to);
	fflush(w->to);
}

static void read_nodes(struct world *w)
{
	char *line;

	while ((line = answer(w)) && strcmp(line, "ready") != 0) {
		char *at;

		if (strncmp(line, "node ", 5) != 0 || w->n_nodes == MAX_NODES)
			die(line);
		w->index[w->n_nodes] = (int)strtol(line + 5, &at, 10);
		w->addr[w->n_nodes++] = strtoull(at, NULL, 0);
	}
}

static bool module_bias(void *ctx, const struct elf_file *module, uint64_t *bias)
{
	const struct world *w = ctx;

	*bias = module == w->library.file ? w->library.bias : w->bias;
	return module == w->library.file || module == dbg_binary(w->dbg);
}

static void find_library(struct world *w, struct writes_plan_in *in)
{
	for (size_t i = 0; i < w->maps.n && !w->library_dbg; i++) {
		const struct proc_map *m = &w->maps.v[i];
		struct err err = {0};

		if (!m->path || !strstr(m->path, "/librec.so"))
			continue;
		snprintf(w->library_path, sizeof(w->library_path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64,
			 (int)w->pid, m->start, m->end);
		if (dbg_open(&w->library_dbg, w->library_path, NULL, &err))
			die(err.msg);
		w->library = (struct plan_module){.file = dbg_binary(w->library_dbg),
						  .dbg = w->library_dbg,
						  .name = m->path,
						  .path = w->library_path};
		w->library.bias = m->start - elf_file_base(w->library.file);
		in->module = &w->library;
		in->n_modules = 1;
	}
}

static void arm(struct world *w, const char *mode)
{
	static const struct spec_option insert = {.role = SPEC_INSERT, .value = "adopt"};
	struct writes_plan_in in = {.bias = module_bias, .ctx = w, .binary = w->exe};
	uint64_t alive[WR_MAX_TYPES] = {0};
	struct capacity capacity;
	struct err err = {0};

	in.setters = !strcmp(mode, "off") ? SETTERS_OFF : !strcmp(mode, "auto") ? SETTERS_AUTO : SETTERS_ALL;
	snprintf(w->exe, sizeof(w->exe), "/proc/%d/exe", (int)w->pid);
	if (dbg_open(&w->dbg, w->exe, NULL, &err) || proc_maps_read(&w->maps, w->pid, &err) || !w->maps.n ||
	    spec_from_options(&w->spec, "st::Rec", &insert, 1, &err))
		die(err.msg);
	w->bias = w->maps.v[0].start - elf_file_base(dbg_binary(w->dbg));
	in.dbg = w->dbg;
	in.spec = w->spec;
	find_library(w, &in);
	if (writes_plan_build(&w->plan, &in, &err))
		die(err.msg);
	capacity_plan(&capacity, w->plan, alive, MAX_NODES);
	if (writes_trace_open(&w->trace, w->plan, &capacity, w->pid, w->bias, NULL, &err) ||
	    writes_trace_attach(w->trace, &err))
		die(err.msg);
	if (writes_trace_failed(w->trace))
		die(writes_trace_failure(w->trace));
	writes_trace_deadline(w->trace, mono_now_ns() + AHEAD_NS);
}

/* The node's licences since the last phase, which are taken away. */
static void report(struct world *w, size_t i, const char *phase)
{
	uint64_t addr = w->addr[i];
	struct wr_node n;
	json_t *fields;

	if (!writes_trace_node(w->trace, addr, &n) || (!n.store_ns && !n.mutate_ns))
		return;
	fields = json_array();
	for (unsigned f = 0; f < w->plan->type[n.type].n_fields; f++)
		if (n.store_fields[f / 64] >> (f % 64) & 1)
			json_array_append_new(fields,
					      json_string(plan_guard_field(w->plan, n.type, f)->path));
	json_t *line = json_pack("{s:s, s:i, s:b, s:o}", "phase", phase, "node", w->index[i], "whole",
				 n.mutate_ns != 0, "fields", fields);

	json_dumpf(line, stdout, 0);
	printf("\n");
	json_decref(line);
	memset(n.store_fields, 0, sizeof(n.store_fields));
	n.store_ns = n.mutate_ns = 0;
	if (bpf_map_update_elem(writes_trace_map_fd(w->trace, "nodes"), &addr, &n, BPF_EXIST))
		die("cannot reset a node");
}

static void finish(struct world *w)
{
	json_t *fields = json_array(), *line;
	unsigned stores = 0, stepped = 0;

	for (unsigned t = 0; t < w->plan->n_types; t++) {
		const struct guard_type *g = w->plan->info[t].guard;

		for (size_t i = 0; i < g->n_field; i++)
			json_array_append_new(fields,
					      json_pack("{s:s, s:s, s:b, s:s}", "type", g->name, "field",
							g->field[i].path, "judged", g->field[i].shadow_judged,
							"reason", g->field[i].reason));
	}
	for (size_t i = 0; i < w->plan->n_probes; i++) {
		stores += w->plan->probe[i].wire.role == WR_ROLE_STORE;
		stepped += w->plan->probe[i].wire.role == WR_ROLE_STORE && w->plan->probe[i].stepped;
	}
	line = json_pack("{s:o, s:i, s:i}", "fields", fields, "stores", stores, "stepped", stepped);
	json_dumpf(line, stdout, 0);
	printf("\n");
	json_decref(line);
}

int main(int argc, char **argv)
{
	char phase[256] = "";
	struct world w = {0};
	char *line;

	if (argc < 2)
		die("usage: tool PROG [off|auto|all]");
	run(&w, argv[1]);
	read_nodes(&w);
	arm(&w, argc > 2 ? argv[2] : "all");
	go_on(&w);
	while ((line = answer(&w))) {
		for (size_t i = 0; i < w.n_nodes; i++)
			report(&w, i, phase);
		if (strncmp(line, "next ", 5) != 0)
			break;
		snprintf(phase, sizeof(phase), "%s", line + 5);
		writes_trace_deadline(w.trace, mono_now_ns() + AHEAD_NS);
		go_on(&w);
	}
	finish(&w);
	kill(w.pid, SIGKILL);
	waitpid(w.pid, NULL, 0);
	writes_trace_close(w.trace);
	writes_plan_free(w.plan);
	proc_maps_deinit(&w.maps);
	spec_free(w.spec);
	dbg_close(w.library_dbg);
	dbg_close(w.dbg);
	fclose(w.to);
	fclose(w.from);
	return line ? 0 : 1;
}
