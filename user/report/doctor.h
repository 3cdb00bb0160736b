/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `culprit doctor`, to text and JSON Lines (docs/json.md). */
#ifndef CULPRIT_REPORT_DOCTOR_H
#define CULPRIT_REPORT_DOCTOR_H

#include <stdbool.h>

#include "doctor/feature.h"
#include "doctor/node.h"
#include "doctor/target.h"

struct doctor_report {
	const struct feature *feature; /* FEATURE_MAX of them */
	const struct node *node;
	bool virtual_machine;
	const char *forced;		   /* CULPRIT_FORCE, NULL */
	int pid;			   /* of target */
	const struct target_facts *target; /* NULL: none */
	const char *spec;		   /* NULL: no plan asked for */
	double uprobe_ns;		   /* a hit of an empty probe; 0 = not known */
	double max_overhead_pct;
};

void doctor_text(const struct doctor_report *r);
int doctor_json(const struct doctor_report *r); /* -errno */

#endif
