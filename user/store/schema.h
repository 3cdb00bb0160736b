/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tables of a session file. docs/session.md explains the columns; whatever changes here gets a new
 * version. */
#ifndef CULPRIT_STORE_SCHEMA_H
#define CULPRIT_STORE_SCHEMA_H

#include <stddef.h>

#define STORE_APPLICATION_ID 0x636c7072 /* "clpr": PRAGMA application_id */
#define STORE_VERSION	     1		/* PRAGMA user_version */

enum store_table { STORE_SESSION, STORE_LINE, STORE_CONNECTION, STORE_WAIT, STORE_TABLES };

struct store_schema {
	const char *name, *sql;
	const char *insert; /* INSERT OR REPLACE with all columns */
	const char *select; /* all columns, in their order, sorted */
	unsigned columns;
};
extern const struct store_schema store_schema[STORE_TABLES];

#endif
