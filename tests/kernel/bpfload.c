// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Loads every program of BPF objects one by one and says, one JSON line each, whether the kernel took it,
 * what its verifier said last, and which CO-RE relocations found nothing in the kernel's types. usage:
 * bpfload [--btf FILE] OBJECT.bpf.o... | bpfload --count exit: 0 all loaded, 1 some did not, 2 usage or an
 * object that cannot be opened
 *
 * An unresolved relocation is no fault in itself: libbpf puts an invalid instruction in its place, and where
 * the program asks first whether the field exists, the verifier drops that branch. If it does not, the
 * program is refused.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpfflow.h"
#include "trace/btf.h"
#include "trace/fit.h"

#define LOG_SIZE (16 * 1024 * 1024)
#define TAIL	 2000

static json_t *unresolved; /* of the program being loaded */
static char last_relo[512], warnings[2048];

/* libbpf says at debug level first what a relocation asks for, then that nothing matched. */
static int on_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char line[1024], *spec;

	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	if (level == LIBBPF_WARN && !strstr(line, "PROG LOAD LOG") &&
	    strlen(warnings) + strlen(line) + 2 < sizeof(warnings)) {
		strcat(warnings, line);
		strcat(warnings, "\n");
	}
	spec = strstr(line, ": relo #");
	if (!spec || !unresolved)
		return 0;
	if (strstr(spec, "no matching targets found"))
		json_array_append_new(unresolved, json_string(last_relo));
	else if (strchr(spec, '<') && !strstr(spec, "matching candidate"))
		snprintf(last_relo, sizeof(last_relo), "%s", strchr(spec, '<'));
	return 0;
}

static const char *tail_of(const char *log)
{
	size_t len = strlen(log);

	return len > TAIL ? log + len - TAIL : log;
}

/* Attaching many places by one link came with 6.6; the same program serves single ones, as trace/ loads it.
 */
static void without_multi(struct bpf_program *prog)
{
	if (bpf_program__expected_attach_type(prog) == BPF_TRACE_UPROBE_MULTI)
		bpf_program__set_expected_attach_type(prog, 0);
}

/* Does it keep the kernel stack, by a tail call that is never made (bpf/lib/own_stack.bpf.h)? */
static bool keeps_stack(const struct bpf_program *prog)
{
	const struct bpf_insn *insn = bpf_program__insns(prog);

	for (size_t i = 0; i < bpf_program__insn_cnt(prog); i++) {
		if (insn[i].code == (BPF_JMP | BPF_CALL) && !insn[i].src_reg &&
		    insn[i].imm == BPF_FUNC_tail_call)
			return true;
	}
	return false;
}

/* What it uses, after relocation: helpers by number, types of its object's maps, what no old kernel has. */
static json_t *uses(const struct bpf_program *prog, const struct bpf_object *obj)
{
	json_t *helpers = json_array(), *maps = json_object(), *newer = json_array();
	struct bpfflow use;
	struct bpf_map *map;
	int rc = bpfflow(&use, bpf_program__insns(prog), bpf_program__insn_cnt(prog));

	for (int i = 0; i < BPFFLOW_HELPERS; i++)
		if (use.helper[i])
			json_array_append_new(helpers, json_integer(i));
	bpf_object__for_each_map(map, obj)
		json_object_set_new(maps, bpf_map__name(map), json_integer(bpf_map__type(map)));
	if (rc)
		json_array_append_new(newer, json_string("cannot be followed"));
	if (use.wide_jumps)
		json_array_append_new(newer, json_string("32-bit jumps"));
	if (use.atomics)
		json_array_append_new(newer, json_string("atomics that fetch"));
	if (use.kfuncs)
		json_array_append_new(newer, json_string("kernel functions or typed variables"));
	if (use.calls && use.helper[BPF_FUNC_tail_call])
		json_array_append_new(newer, json_string("tail calls beside calls"));
	return json_pack("{s:o, s:o, s:o, s:i, s:i}", "helpers", helpers, "maps", maps, "newer", newer,
			 "reached", (int)use.reached, "instructions", (int)bpf_program__insn_cnt(prog));
}

static int load_one(const char *path, const char *name, const char *btf, char *log)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = btf);
	struct bpf_object *obj = bpf_object__open_file(path, &opts);
	const char *file = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	struct bpf_program *prog;
	const char *section;
	bool keeps;
	int rc;

	if (!obj)
		return -errno;
	bpf_object__for_each_program(prog, obj)
		bpf_program__set_autoload(prog, !strcmp(bpf_program__name(prog), name));
	prog = bpf_object__find_program_by_name(obj, name);
	section = bpf_program__section_name(prog);
	keeps = keeps_stack(prog);
	rc = fit_object(obj, btf, NULL);
	if (rc)
		goto out;
	bpf_program__set_log_buf(prog, log, LOG_SIZE);
	without_multi(prog);
	log[0] = '\0';
	warnings[0] = '\0';
	unresolved = json_array();
	rc = bpf_object__load(obj);
	json_dumpf(json_pack("{s:s, s:s, s:s, s:i, s:b, s:b, s:s, s:O, s:s, s:s, s:o}", "object", file,
			     "program", name, "section", section, "type", (int)bpf_program__type(prog),
			     "keeps_stack", keeps, "loaded", rc == 0, "error", rc ? strerror(-rc) : "",
			     "unresolved", unresolved, "log", rc ? tail_of(log) : "", "warnings", warnings,
			     "uses", uses(prog, obj)),
		   stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
	json_decref(unresolved);
	unresolved = NULL;
out:
	bpf_object__close(obj);
	return rc ? 1 : 0;
}

static int load_all(const char *path, const char *btf, char *log)
{
	struct bpf_object *obj = bpf_object__open_file(path, NULL);
	struct bpf_program *prog;
	int failed = 0;

	if (!obj) {
		fprintf(stderr, "bpfload: %s: %s\n", path, strerror(errno));
		return -1;
	}
	bpf_object__for_each_program(prog, obj) failed +=
		load_one(path, bpf_program__name(prog), btf, log) != 0;
	bpf_object__close(obj);
	return failed;
}

/* All programs of an object at once, which is quicker; one by one only if that fails. Those on functions of
 * the kernel are left out: which of them fit is a question of its own. */
static int load_whole(const char *path, const char *btf, char *log)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = btf);
	struct bpf_object *obj = bpf_object__open_file(path, &opts);
	const char *file = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	struct bpf_program *prog;
	int rc;

	if (!obj)
		return -1;
	bpf_object__for_each_program(prog, obj)
	{
		if (!strncmp(bpf_program__section_name(prog), "fe", 2)) /* fentry, fexit */
			bpf_program__set_autoload(prog, false);
		without_multi(prog);
	}
	rc = fit_object(obj, btf, NULL);
	if (!rc)
		rc = bpf_object__load(obj);
	bpf_object__for_each_program(prog, obj)
	{
		if (!rc && bpf_program__autoload(prog))
			printf("{\"object\":\"%s\",\"program\":\"%s\",\"loaded\":true}\n", file,
			       bpf_program__name(prog));
	}
	bpf_object__close(obj);
	return rc ? load_all(path, btf, log) : 0;
}

static int count_ids(int (*next)(__u32 from, __u32 *to))
{
	__u32 id = 0;
	int n = 0;

	while (!next(id, &id))
		n++;
	return n;
}

/* What of BPF there is on this machine. */
static void print_counts(void)
{
	printf("{\"programs\": %d, \"maps\": %d, \"links\": %d}\n", count_ids(bpf_prog_get_next_id),
	       count_ids(bpf_map_get_next_id), count_ids(bpf_link_get_next_id));
}

int main(int argc, char **argv)
{
	enum btf_source source;
	struct err err = {0};
	const char *btf = NULL;
	int first = 1, failed = 0, n;
	bool whole = false;
	char *log;

	if (argc == 2 && !strcmp(argv[1], "--count")) {
		print_counts();
		return 0;
	}
	if (argc > 2 && !strcmp(argv[1], "--btf")) {
		btf = argv[2];
		first = 3;
	}
	if (argc > 2 && !strcmp(argv[1], "--whole")) {
		whole = true;
		first = 2;
	}
	log = malloc(LOG_SIZE);
	if (first >= argc || !log) {
		fprintf(stderr, "usage: bpfload [--btf FILE | --whole] OBJECT.bpf.o... | bpfload --count\n");
		return 2;
	}
	if (btf_choose(btf, &btf, &source, &err)) {
		fprintf(stderr, "bpfload: %s\n", err.msg);
		return 2;
	}
	libbpf_set_print(on_print);
	for (int i = first; i < argc; i++) {
		n = (whole ? load_whole : load_all)(argv[i], btf, log);
		if (n < 0)
			return 2;
		failed += n;
	}
	free(log);
	return failed ? 1 : 0;
}
