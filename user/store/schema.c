// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "store/schema.h"

const struct store_schema store_schema[STORE_TABLES] = {
	[STORE_SESSION] =
		{"session",
		 "CREATE TABLE session(key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID",
		 "INSERT OR REPLACE INTO session VALUES(?,?)", "SELECT * FROM session ORDER BY key", 2},
	[STORE_LINE] =
		{"line",
		 "CREATE TABLE line(id INTEGER PRIMARY KEY, real_ns INTEGER NOT NULL, kind TEXT NOT NULL, "
		 "what TEXT, pid INTEGER, tid INTEGER, json TEXT NOT NULL)",
		 "INSERT OR REPLACE INTO line VALUES(?,?,?,?,?,?,?)", "SELECT * FROM line ORDER BY id", 7},
	[STORE_CONNECTION] =
		{"connection",
		 "CREATE TABLE connection(id INTEGER PRIMARY KEY, inode INTEGER NOT NULL, peer_inode "
		 "INTEGER, "
		 "fd INTEGER, family TEXT NOT NULL, local TEXT NOT NULL, remote TEXT NOT NULL, state TEXT "
		 "NOT NULL, "
		 "accepted INTEGER NOT NULL, gone INTEGER NOT NULL, first_ns INTEGER NOT NULL, "
		 "seen_ns INTEGER NOT NULL, last_send_ns INTEGER, last_recv_ns INTEGER, recv_queue INTEGER, "
		 "send_queue INTEGER, unacked INTEGER, bytes_sent INTEGER, bytes_acked INTEGER, "
		 "bytes_received INTEGER, recv_tid INTEGER, send_tid INTEGER)",
		 "INSERT OR REPLACE INTO connection VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
		 "SELECT * FROM connection ORDER BY id", 22},
	[STORE_WAIT] = {"wait",
			"CREATE TABLE wait(id INTEGER PRIMARY KEY, connection INTEGER NOT NULL, ours INTEGER "
			"NOT NULL, "
			"since_ns INTEGER NOT NULL, seen_ns INTEGER NOT NULL, until_ns INTEGER, ended TEXT, "
			"unread INTEGER, method TEXT, rpc_id INTEGER, thread TEXT)",
			"INSERT OR REPLACE INTO wait VALUES(?,?,?,?,?,?,?,?,?,?,?)",
			"SELECT * FROM wait ORDER BY id", 11},
};
