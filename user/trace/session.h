/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The life of a tracing session: waits for records, the deadline, Ctrl-C or SIGTERM and the target's exit,
 * calls the engine at each, and measures what the tool itself costs. Attaching is the command's; whatever it
 * attached must be owned by file descriptors, so that kill -9 leaves nothing behind.
 */
#ifndef CULPRIT_SESSION_H
#define CULPRIT_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "report/finding.h"
#include "trace/transport.h"
#include "util/err.h"

enum session_end { END_TIME, END_INTERRUPTED, END_TARGET_EXIT, END_ENGINE };
const char *session_end_name(enum session_end e);

enum session_go { SESSION_GO_ON, SESSION_OVER, SESSION_TARGETS_GONE /* of several the last has exited */ };

struct session_ops {
	/* every tick_ms, and once after the last drain (last = true). Return <0 to end with an error, else
	 * enum session_go. */
	int (*tick)(void *ctx, uint64_t now_ns, bool last, struct err *err);
	/* writes the live progress line's text into buf; NULL = none */
	void (*progress)(void *ctx, char *buf, size_t len);
};

struct session_cfg {
	pid_t pid;	   /* its exit ends the session; 0: that is the tick's to say */
	double duration_s; /* 0 = until interrupted */
	unsigned tick_ms;  /* 0 = 100 */
	bool quiet;	   /* no progress line (also none when stderr is no terminal, unless verbose) */
	bool admin; /* CAP_SYS_ADMIN is still needed, see caps_drop(); the other capabilities are dropped */
};

/*
 * SIGINT and SIGTERM are blocked for this thread by session_signals_block(), to be called before anything is
 * attached, so that a Ctrl-C while arming is kept for session_run, which then ends at once.
 */
int session_signals_block(struct err *err);
/* Runs to its end; *why says which. Drains t before it returns. */
int session_run(const struct session_cfg *cfg, struct transport *t, const struct session_ops *ops, void *ctx,
		enum session_end *why, struct err *err);

/* When the process was started, in clock ticks since boot; 0 if there is none, or a dead one that nobody has
 * waited for. */
uint64_t session_target_started(pid_t pid);

/* What the tool costs: its own CPU time and, where the kernel counts it, the run time of the BPF programs
 * added. */
struct session_usage {
	uint64_t wall_ns, cpu_ns;
	int stats_fd; /* keeps BPF run time counting on; -1 = the kernel cannot */
	int prog_fd[1024];
	size_t n_progs;
};
void session_usage_start(struct session_usage *u);
struct bpf_object;
/* Counts obj's loaded programs too; obj must outlive the usage. */
void session_usage_add(struct session_usage *u, const struct bpf_object *obj);
/* Run time of all added programs so far in ns, and runs; false if not known. */
bool session_usage_bpf(const struct session_usage *u, uint64_t *run_ns, uint64_t *runs);
/* Fills duration, cpu percentages and rss of s, and notes what the kernel skipped. */
void session_usage_finish(struct session_usage *u, struct summary *s);

/* Takes the progress line off the terminal before something else is printed. Nothing if stderr is no
 * terminal. */
void session_clear_line(void);

uint64_t mono_now_ns(void);
struct report_clock report_clock_now(void);

#endif
