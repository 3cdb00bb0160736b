/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Between the parts of `culprit writes`: what the options say, and the session. */
#ifndef CULPRIT_CMD_WRITES_RUN_H
#define CULPRIT_CMD_WRITES_RUN_H

#include "cmd/cmd.h"
#include "dwarf/dbg.h"
#include "plan/writes.h"
#include "proc/maps.h"
#include "report/finding.h"

#define WRITES_MAX_FUNCS 256

struct writes_opts {
	struct common_opts c;
	const char *spec, *type;
	struct spec_option func[WRITES_MAX_FUNCS];
	size_t n_funcs;
	const char *field; /* --field T::f */
	uint64_t object;   /* --object ADDR, 0 = any */
	enum setters_mode setters;
	bool until_crash;
};

/* What is known before anything is attached. */
struct writes_prep {
	char exe[32]; /* /proc/PID/exe */
	struct spec *spec;
	struct dbg *dbg;
	struct proc_maps maps;
	uint64_t bias; /* of the executable */
	struct writes_plan *plan;
	bool has_field; /* --field found: */
	uint16_t field_type, field;
	double plan_s; /* reading the debuginfo took */
};

/* Arms, follows, reports. Returns enum exit_code. */
int writes_run(const struct writes_opts *o, const struct writes_prep *p);

#endif
