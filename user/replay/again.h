/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names of frames, looked up again with debuginfo that the node did not have. */
#ifndef CULPRIT_REPLAY_AGAIN_H
#define CULPRIT_REPLAY_AGAIN_H

#include "store/load.h"

struct again_account {
	size_t named;	   /* addresses that have a name now */
	size_t unknown;	   /* that none was found for: they stay as they were stored */
	char missing[256]; /* files of which nothing was found; empty: none */
};

/*
 * In all lines and threads of a session, before it is opened by replay_open(): frames of files whose build-id
 * is found (symbol/offline.h) get the names, lines and inlined functions that stand there. -ENOMEM.
 */
int session_name_again(struct session *s, const char *debuginfo, struct again_account *ret, struct err *err);

#endif
