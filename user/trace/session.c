// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "proc/caps.h"
#include "proc/process.h"
#include "proc/task.h"
#include "trace/force.h"
#include "trace/session.h"

#define DEFAULT_TICK_MS 100
#define PROGRESS_NS	1000000000ULL

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

uint64_t mono_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

struct report_clock report_clock_now(void)
{
	return (struct report_clock){.mono_ns = clock_ns(CLOCK_MONOTONIC),
				     .real_ns = clock_ns(CLOCK_REALTIME)};
}

const char *session_end_name(enum session_end e)
{
	static const char *const names[] = {"time is up", "interrupted", "target exited",
					    "ended by the engine"};

	return names[e];
}

static void stop_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
}

int session_signals_block(struct err *err)
{
	sigset_t set;

	stop_signals(&set);
	/* a reader that goes away (`| head`) must end the session through EPIPE, with everything detached in
	 * order */
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return err_set(err, -errno, "cannot block signals: %s", strerror(errno));
	return 0;
}

enum wait_source { WAIT_RING, WAIT_SIGNAL, WAIT_TICK, WAIT_TARGET, WAIT_DEADLINE, WAIT_MAX };

struct waiter {
	int ep;
	int fd[WAIT_MAX]; /* WAIT_RING belongs to the transport */
	pid_t pid;	  /* 0: WAIT_TARGET tells */
	uint64_t started; /* in clock ticks since boot: another process may get the pid */
};

uint64_t session_target_started(pid_t pid)
{
	struct proc_status status;
	struct proc_thread main;

	if (proc_thread_read(&main, pid, pid))
		return 0;
	/* a main thread that ended is kept until the others have ended too */
	if (strchr("ZX", main.state) && (proc_status_read(&status, pid, NULL) || status.threads < 2))
		return 0;
	return main.start_ticks;
}

static int waiter_add(struct waiter *w, enum wait_source s, int fd, struct err *err)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = s};

	if (fd < 0)
		return err_set(err, -errno, "cannot set up the session: %s", strerror(errno));
	w->fd[s] = fd;
	if (epoll_ctl(w->ep, EPOLL_CTL_ADD, fd, &ev))
		return err_set(err, -errno, "cannot wait for events: %s", strerror(errno));
	return 0;
}

static int timer_fd(double first_s, double interval_s)
{
	struct itimerspec its = {
		.it_value = {.tv_sec = (time_t)first_s,
			     .tv_nsec = (long)((first_s - (double)(time_t)first_s) * 1e9)},
		.it_interval = {.tv_sec = (time_t)interval_s,
				.tv_nsec = (long)((interval_s - (double)(time_t)interval_s) * 1e9)},
	};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd >= 0 && timerfd_settime(fd, 0, &its, NULL)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Since 5.3 the target's end wakes us. Before, its start time is compared at every tick. */
static int waiter_add_target(struct waiter *w, pid_t pid, struct err *err)
{
	int fd = -1;

	errno = ENOSYS;
	if (!forced(FORCE_NOPIDFD))
		fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd >= 0 || errno != ENOSYS)
		return waiter_add(w, WAIT_TARGET, fd, err);
	w->pid = pid;
	w->started = session_target_started(pid);
	return w->started ? 0 : -ESRCH;
}

static int waiter_open(struct waiter *w, const struct session_cfg *cfg, const struct transport *t,
		       struct err *err)
{
	double tick_s = (cfg->tick_ms ? cfg->tick_ms : DEFAULT_TICK_MS) / 1000.0;
	sigset_t set;
	int rc;

	stop_signals(&set);
	for (int i = 0; i < WAIT_MAX; i++)
		w->fd[i] = -1;
	w->ep = epoll_create1(EPOLL_CLOEXEC);
	if (w->ep < 0)
		return err_set(err, -errno, "cannot wait for events: %s", strerror(errno));
	rc = transport_fd(t) >= 0 ? waiter_add(w, WAIT_RING, transport_fd(t), err) : 0;
	if (!rc)
		rc = waiter_add(w, WAIT_SIGNAL, signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), err);
	if (!rc)
		rc = waiter_add(w, WAIT_TICK, timer_fd(tick_s, tick_s), err);
	if (!rc && cfg->duration_s > 0)
		rc = waiter_add(w, WAIT_DEADLINE, timer_fd(cfg->duration_s, 0), err);
	return rc || !cfg->pid ? rc : waiter_add_target(w, cfg->pid, err);
}

static void waiter_close(struct waiter *w)
{
	for (int i = 0; i < WAIT_MAX; i++)
		if (i != WAIT_RING && w->fd[i] >= 0)
			close(w->fd[i]);
	if (w->ep >= 0)
		close(w->ep);
}

void session_clear_line(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

static void progress_show(const struct session_cfg *cfg, const struct session_ops *ops, void *ctx,
			  uint64_t start, uint64_t now, bool clear)
{
	char text[200];
	unsigned s = (unsigned)((now - start) / 1000000000);

	if (cfg->quiet || !ops->progress || !isatty(STDERR_FILENO))
		return;
	if (clear) {
		session_clear_line();
		return;
	}
	text[0] = '\0';
	ops->progress(ctx, text, sizeof(text));
	fprintf(stderr, "\r[%02u:%02u] %s\033[K", s / 60, s % 60, text);
}

/* One wakeup. Returns 1 when the session is over (*why says why), 0 to go on, <0 on error. */
static int session_step(struct waiter *w, struct transport *t, const struct session_ops *ops, void *ctx,
			enum session_end *why, struct err *err)
{
	struct epoll_event ev[WAIT_MAX];
	uint64_t expirations;
	bool over = false;
	int n, rc;

	n = epoll_wait(w->ep, ev, WAIT_MAX, -1);
	if (n < 0)
		return errno == EINTR ? 0
				      : err_set(err, -errno, "cannot wait for events: %s", strerror(errno));
	for (int i = 0; i < n; i++) {
		switch (ev[i].data.u32) {
		case WAIT_RING:
			rc = transport_drain(t, err);
			if (rc < 0)
				return rc;
			break;
		case WAIT_TICK:
			if (read(w->fd[WAIT_TICK], &expirations, sizeof(expirations)) < 0)
				break;
			if (w->pid && session_target_started(w->pid) != w->started) {
				*why = END_TARGET_EXIT;
				return 1;
			}
			rc = ops->tick ? ops->tick(ctx, mono_now_ns(), false, err) : 0;
			if (rc < 0)
				return rc;
			if (rc > 0) {
				*why = rc == SESSION_TARGETS_GONE ? END_TARGET_EXIT : END_ENGINE;
				over = true;
			}
			break;
		case WAIT_SIGNAL:
			*why = END_INTERRUPTED;
			return 1;
		case WAIT_TARGET:
			*why = END_TARGET_EXIT;
			return 1;
		case WAIT_DEADLINE:
			*why = END_TIME;
			return 1;
		}
	}
	return over;
}

int session_run(const struct session_cfg *cfg, struct transport *t, const struct session_ops *ops, void *ctx,
		enum session_end *why, struct err *err)
{
	uint64_t start = mono_now_ns(), shown = 0, now;
	struct waiter w = {.ep = -1};
	int rc = caps_drop(cfg->admin, err);

	rc = rc ? rc : waiter_open(&w, cfg, t, err);

	if (rc == -ESRCH) { /* it exited while we armed */
		*why = END_TARGET_EXIT;
		rc = 1;
	}
	while (rc == 0) {
		rc = session_step(&w, t, ops, ctx, why, err);
		now = mono_now_ns();
		if (now - shown >= PROGRESS_NS) {
			progress_show(cfg, ops, ctx, start, now, false);
			shown = now;
		}
	}
	progress_show(cfg, ops, ctx, start, mono_now_ns(), true);
	waiter_close(&w);
	if (rc < 0)
		return rc;
	rc = transport_drain(t, err);
	if (rc < 0)
		return rc;
	return ops->tick ? (rc = ops->tick(ctx, mono_now_ns(), true, err)) < 0 ? rc : 0 : 0;
}

void session_usage_start(struct session_usage *u)
{
	*u = (struct session_usage){.wall_ns = mono_now_ns(), .cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID)};
	u->stats_fd = forced(FORCE_NOSTATS) ? -1 : bpf_enable_stats(BPF_STATS_RUN_TIME);
}

void session_usage_add(struct session_usage *u, const struct bpf_object *obj)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, obj)
	{
		if (bpf_program__fd(p) >= 0 && u->n_progs < sizeof(u->prog_fd) / sizeof(u->prog_fd[0]))
			u->prog_fd[u->n_progs++] = bpf_program__fd(p);
	}
}

bool session_usage_bpf(const struct session_usage *u, uint64_t *run_ns, uint64_t *runs)
{
	*run_ns = 0;
	*runs = 0;
	if (u->stats_fd < 0)
		return false;
	for (size_t i = 0; i < u->n_progs; i++) {
		struct bpf_prog_info info = {0};
		__u32 len = sizeof(info);

		if (bpf_prog_get_info_by_fd(u->prog_fd[i], &info, &len))
			return false;
		*run_ns += info.run_time_ns;
		*runs += info.run_cnt;
	}
	return true;
}

/* Hits that the kernel skipped, as far as it counts them: 5.12 and later, of kprobes 6.7 and later. */
static uint64_t skipped(const struct session_usage *u)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < u->n_progs; i++) {
		struct bpf_prog_info info = {0};
		__u32 len = sizeof(info);

		if (!bpf_prog_get_info_by_fd(u->prog_fd[i], &info, &len))
			sum += info.recursion_misses;
	}
	return sum;
}

void session_usage_finish(struct session_usage *u, struct summary *s)
{
	uint64_t wall = mono_now_ns() - u->wall_ns, bpf_ns, runs, n = skipped(u);
	struct proc_status own;

	if (n)
		summary_note(
			s, true,
			"%llu probe hits were skipped by the kernel: the same program was not done on that "
			"CPU (its thread was preempted or interrupted); what they would have told is not "
			"known",
			(unsigned long long)n);

	if (!wall)
		wall = 1;
	s->duration_s = (double)wall / 1e9;
	s->own_cpu_pct = 100.0 * (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - u->cpu_ns) / (double)wall;
	s->bpf_cpu_pct = session_usage_bpf(u, &bpf_ns, &runs) ? 100.0 * (double)bpf_ns / (double)wall : -1;
	s->rss_kib = proc_status_read(&own, getpid(), NULL) ? 0 : own.peak_rss_kib;
	if (u->stats_fd >= 0)
		close(u->stats_fd);
	u->stats_fd = -1;
}
