/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef CULPRIT_FEATURES_TRY_H
#define CULPRIT_FEATURES_TRY_H

#include <stdbool.h>
#include <sys/types.h>

#include "../../bpf/abi/doctor.h"
#include "doctor/feature.h"

/* Loads that program of bpf/doctor.bpf.c alone, attaches it, triggers it and reads its count. *fired: it was
 * counted, or its record arrived. -errno of what was refused. btf: path or NULL. */
int feature_try(enum abi_doctor_probe what, const char *btf, bool *fired);

/* Loads the programs of an engine as a session loads them; attaches nothing. -errno and err. */
int engine_try_writes(const char *btf, struct err *err);
int engine_try_stalls(const char *btf, struct err *err);
int engine_try_framing(const char *btf, struct err *err);

/* The rows that need no program of ours. pid: the target, whose memory and network namespace they are tried
 * on; 0 = none. */
void features_read(struct feature f[FEATURE_MAX], pid_t pid);

#endif
