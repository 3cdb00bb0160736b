// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "cmd/cmd.h"

const struct command commands[] = {
	{"writes", "catch bad writes into cached objects: which, by whom", cmd_writes},
	{"stalls", "catch stuck RPCs, client and server side: which, and whose fault", cmd_stalls},
	{"doctor", "what this node and a target support; what replaces what is missing", cmd_doctor},
	{"threads", "each thread now: its call, how long, descriptor, socket, stacks", cmd_threads},
	{"inspect", "an object field by field, and what is broken in it; or all of a class", cmd_inspect},
	{"find", "where a value stands in memory: function, variable, stack, heap, object", cmd_find},
	{"layout", "profile of a binary, for nodes without its debuginfo; or who can store to a field",
	 cmd_layout},
	{"report", "a session of -o FILE.db again; both ends of an RPC; export", cmd_report},
	{0},
};
