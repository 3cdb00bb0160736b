// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proc/mem.h"
#include "symbol/kernel.h"
#include "threads.skel.h"
#include "trace/force.h"
#include "trace/session.h"
#include "trace/threads.h"
#include "trace/threads_proc.h"

struct threads {
	pid_t pid;
	struct image *image;
	struct threads_bpf *skel; /* NULL: /proc serves */
	struct bpf_link *look, *files, *all_files;
	char why[ERR_MSG_LEN];
	struct sock_table *socks;
	struct threads *kin;
	bool borrowed; /* socks: kin dumps them */
	char socks_why[ERR_MSG_LEN];
	struct kernel_syms *syms;
	bool syms_tried;
	struct threads_file *file; /* by fd */
	size_t n_files;
	struct autopsy_ops ops;
};

/* Iterates this process only where the kernel can do that (6.1 and later), else over all tasks, and the
 * program filters. */
static struct bpf_link *attach(struct bpf_program *prog, pid_t pid)
{
	union bpf_iter_link_info info = {.task.pid = (__u32)pid};
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
	struct bpf_link *link = bpf_program__attach_iter(prog, &opts);

	return link ? link : bpf_program__attach_iter(prog, NULL);
}

static int open_iterators(struct threads *t, const char *btf)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = btf);

	t->skel = threads_bpf__open_opts(&opts);
	if (!t->skel)
		return -errno;
	if (threads_bpf__load(t->skel))
		return -errno;
	t->look = attach(t->skel->progs.look_threads, t->pid);
	if (!t->look)
		return -errno;
	t->files = attach(t->skel->progs.look_files, t->pid);
	if (!t->files)
		return -errno;
	t->all_files = attach(t->skel->progs.look_files, 0);
	return t->all_files ? 0 : -errno;
}

static void close_iterators(struct threads *t)
{
	bpf_link__destroy(t->look);
	bpf_link__destroy(t->files);
	bpf_link__destroy(t->all_files);
	threads_bpf__destroy(t->skel);
	t->look = t->files = t->all_files = NULL;
	t->skel = NULL;
}

/* Reads an iterator to its end; *len is a multiple of size. */
static int read_iterator(struct bpf_link *link, size_t size, char **ret, size_t *n)
{
	size_t len = 0, room = 0;
	char *buf = NULL;
	ssize_t got = 1;
	int fd, err = 0;

	fd = bpf_iter_create(bpf_link__fd(link));
	if (fd < 0)
		return -errno;
	while (got != 0) {
		if (room - len < 65536) {
			char *grown = realloc(buf, room + (room < 1 << 20 ? 1 << 18 : room));

			if (!grown) {
				err = -ENOMEM;
				break;
			}
			buf = grown;
			room += room < 1 << 20 ? 1 << 18 : room;
		}
		got = read(fd, buf + len, room - len);
		if (got < 0 && errno != EAGAIN && errno != EINTR) {
			err = -errno;
			break;
		}
		len += got > 0 ? (size_t)got : 0;
	}
	close(fd);
	if (err) {
		free(buf);
		return err;
	}
	*ret = buf;
	*n = len / size;
	return 0;
}

static int set_up(struct threads *t, bool brief, bool all)
{
	const struct threads_cfg cfg = {.tgid = (__u32)t->pid, .brief = brief, .all = all};
	const __u32 zero = 0;

	return bpf_map__update_elem(t->skel->maps.settings, &zero, sizeof(zero), &cfg, sizeof(cfg), BPF_ANY);
}

int threads_look(struct threads *t, bool brief, struct thread_raw **out, size_t *n, struct err *err)
{
	struct threads_rec *rec = NULL;
	struct thread_raw *raw;
	char *buf = NULL;
	int rc;

	*n = 0;
	if (!t->skel)
		return threads_proc_look(t->pid, brief, out, n, err);
	rc = set_up(t, brief, false);
	if (!rc)
		rc = read_iterator(t->look, sizeof(*rec), &buf, n);
	if (rc)
		return err_set(err, rc, "task iterator: %s", strerror(-rc));
	raw = calloc(*n ? *n : 1, sizeof(*raw));
	for (size_t i = 0; raw && i < *n; i++) {
		memcpy(&raw[i].rec, buf + i * sizeof(*rec), sizeof(*rec));
		thread_raw_from_rec(&raw[i]);
	}
	free(buf);
	if (!raw)
		return err_set(err, -ENOMEM, "out of memory");
	if (!*n) {
		free(raw);
		if (!kill(t->pid, 0) || errno == EPERM)
			return err_set(
				err, -EACCES,
				"process %d is there, but this kernel shows no thread of it, as where a "
				"security policy hides it",
				(int)t->pid);
		return err_set(err, -ESRCH, "process %d has gone", (int)t->pid);
	}
	*out = raw;
	return 0;
}

static int by_fd(const void *a, const void *b)
{
	const struct threads_file *x = a, *y = b;

	return (x->fd > y->fd) - (x->fd < y->fd);
}

int threads_look_files(struct threads *t, struct err *err)
{
	char *buf = NULL;
	int rc;

	free(t->file);
	t->file = NULL;
	t->n_files = 0;
	if (!t->skel)
		return 0;
	rc = set_up(t, true, false);
	if (!rc)
		rc = read_iterator(t->files, sizeof(*t->file), &buf, &t->n_files);
	if (rc)
		return err_set(err, rc, "file iterator: %s", strerror(-rc));
	t->file = (void *)buf;
	if (t->n_files)
		qsort(t->file, t->n_files, sizeof(*t->file), by_fd);
	return 0;
}

static int open_socks_proc(struct threads *t, struct open_sock **v, size_t *n)
{
	struct proc_fds fds;

	if (proc_fds_read(&fds, t->pid, NULL))
		return 0;
	*v = calloc(fds.n + 1, sizeof(**v));
	for (size_t i = 0; *v && i < fds.n; i++)
		if (fds.v[i].kind == PROC_FD_SOCKET)
			(*v)[(*n)++] = (struct open_sock){.fd = fds.v[i].fd, .inode = fds.v[i].inode};
	proc_fds_deinit(&fds);
	return *v ? 0 : -ENOMEM;
}

int threads_open_socks(struct threads *t, struct open_sock **v, size_t *n)
{
	int rc = 0;

	*v = NULL;
	*n = 0;
	if (!t->skel)
		rc = open_socks_proc(t, v, n);
	else
		*v = calloc(t->n_files + 1, sizeof(**v));
	for (size_t i = 0; t->skel && *v && i < t->n_files; i++)
		if (t->file[i].is_sock)
			(*v)[(*n)++] = (struct open_sock){.fd = t->file[i].fd, .inode = t->file[i].inode};
	for (size_t i = 0; *v && t->socks && i < *n; i++)
		sock_table_find(t->socks, (*v)[i].inode, &(*v)[i].facts);
	return t->skel && !*v ? -ENOMEM : rc;
}

int threads_holders(struct threads *t, struct proc_holders *ret)
{
	const struct threads_file *f;
	char *buf = NULL;
	size_t n = 0;
	int rc;

	*ret = (struct proc_holders){0};
	if (!t->skel)
		return proc_holders_read(ret);
	rc = set_up(t, true, true);
	if (!rc)
		rc = read_iterator(t->all_files, sizeof(*f), &buf, &n);
	f = (void *)buf;
	for (size_t i = 0; !rc && i < n; i++)
		rc = proc_holders_add(ret, f[i].inode, (pid_t)f[i].tgid, f[i].fd);
	free(buf);
	if (rc)
		proc_holders_deinit(ret);
	else
		proc_holders_sort(ret);
	return rc;
}

static int op_read_mem(void *ctx, uint64_t addr, void *buf, size_t len)
{
	struct threads *t = ctx;
	ssize_t n = proc_mem_read(t->pid, addr, buf, len);

	return n < 0 ? (int)n : (size_t)n == len ? 0 : -EFAULT;
}

static int op_fd_read(void *ctx, int fd, struct proc_fd *out)
{
	struct threads *t = ctx;

	return proc_fd_read(out, t->pid, fd);
}

static int op_epoll_read(void *ctx, int fd, struct proc_epoll *out)
{
	struct threads *t = ctx;

	return proc_epoll_read(out, t->pid, fd);
}

static const struct threads_file *file_by_fd(const struct threads *t, int fd)
{
	const struct threads_file key = {.fd = fd};

	return t->n_files ? bsearch(&key, t->file, t->n_files, sizeof(key), by_fd) : NULL;
}

/* The coarse clock goes by the kernel's tick. */
static bool op_timeouts(void *ctx, int fd, int64_t ms[2])
{
	const struct threads_file *f = file_by_fd(ctx, fd);
	struct timespec tick;

	if (!f || f->ticks[0] < 0 || clock_getres(CLOCK_MONOTONIC_COARSE, &tick))
		return false;
	for (int i = 0; i < 2; i++)
		ms[i] = f->ticks[i] > INT64_MAX / 1000000000 ? -1 : f->ticks[i] * tick.tv_nsec / 1000000;
	return true;
}

static uint64_t op_file(void *ctx, int fd)
{
	const struct threads_file *f = file_by_fd(ctx, fd);

	return f ? f->file : 0;
}

static bool op_sock(void *ctx, uint64_t inode, struct sock_facts *out)
{
	struct threads *t = ctx;

	return t->socks && sock_table_find(t->socks, inode, out);
}

static const char *op_ksym(void *ctx, uint64_t addr)
{
	struct threads *t = ctx;

	if (t->kin)
		return op_ksym(t->kin, addr);
	if (!t->syms_tried && kernel_syms_open(&t->syms, NULL))
		t->syms = NULL;
	t->syms_tried = true;
	return t->syms ? kernel_syms_find(t->syms, addr) : NULL;
}

static int op_unwind(void *ctx, const struct image_regs *regs, struct frames *out)
{
	struct threads *t = ctx;

	return image_unwind_live(t->image, regs, out);
}

static bool op_stays(void *ctx, pid_t tid, uint64_t switches)
{
	struct threads *t = ctx;
	struct proc_switches now;

	return !proc_task_switches(t->pid, tid, &now) && !now.runs &&
	       now.voluntary + now.involuntary == switches;
}

static bool op_regs_now(void *ctx, const struct thread_facts *th, struct image_regs *regs, uint64_t *switches)
{
	struct threads *t = ctx;
	struct proc_switches before;
	struct proc_syscall call;

	if (proc_task_switches(t->pid, th->tid, &before) || before.runs ||
	    proc_task_syscall(t->pid, th->tid, &call) || call.state == PROC_RUNNING ||
	    call.nr != th->raw->rec.nr || call.arg[0] != th->raw->arg[0] || call.arg[1] != th->raw->arg[1])
		return false;
	regs->known = IMAGE_REGS_SP_IP;
	regs->reg[ABI_REG_SP] = call.sp;
	regs->reg[ABI_REG_IP] = call.pc;
	*switches = before.voluntary + before.involuntary;
	return true;
}

int threads_open(struct threads **ret, const struct threads_opts *opts, struct err *err)
{
	struct threads *t = calloc(1, sizeof(*t));
	struct err e = {0};
	int rc;

	if (!t)
		return err_set(err, -ENOMEM, "out of memory");
	t->pid = opts->pid;
	t->image = opts->image;
	rc = opts->proc_only ? 0 : forced(FORCE_NOITER) ? -EOPNOTSUPP : open_iterators(t, opts->btf);
	if (opts->proc_only || rc) {
		snprintf(t->why, sizeof(t->why), "%s", opts->proc_only ? "not asked for" : strerror(-rc));
		close_iterators(t);
	}
	t->kin = opts->kin;
	t->borrowed = opts->kin && opts->same_net && opts->kin->socks;
	t->socks = t->borrowed ? opts->kin->socks : NULL;
	if (!t->borrowed && sock_table_open(&t->socks, t->pid, &e)) {
		t->socks = NULL;
		snprintf(t->socks_why, sizeof(t->socks_why), "%s", e.msg);
	}
	t->ops = (struct autopsy_ops){.ctx = t,
				      .read_mem = op_read_mem,
				      .fd_read = op_fd_read,
				      .epoll_read = op_epoll_read,
				      .file = op_file,
				      .timeouts = op_timeouts,
				      .sock = op_sock,
				      .ksym = op_ksym,
				      .unwind = t->image ? op_unwind : NULL,
				      .stays = op_stays,
				      .regs_now = op_regs_now};
	*ret = t;
	return 0;
}

void threads_close(struct threads *t)
{
	if (!t)
		return;
	close_iterators(t);
	if (!t->borrowed)
		sock_table_close(t->socks);
	kernel_syms_close(t->syms);
	free(t->file);
	free(t);
}

enum autopsy_source threads_source(const struct threads *t)
{
	return t->skel ? AUTOPSY_ITERATOR : AUTOPSY_PROC;
}

const char *threads_source_why(const struct threads *t)
{
	return t->skel ? NULL : t->why;
}

const char *threads_socks_why(const struct threads *t)
{
	return t->socks_why[0] ? t->socks_why : NULL;
}

const struct autopsy_ops *threads_ops(struct threads *t)
{
	return &t->ops;
}

struct sock_table *threads_socks(struct threads *t)
{
	return t->socks;
}

/* What the kernel does not tell of is said: a stall on such a socket has no verdict. */
static int look_sockets(struct threads *t, struct err *err)
{
	int rc;

	if (!t->socks || t->borrowed)
		return 0;
	rc = sock_table_dump(t->socks, err);
	if (rc)
		return rc;
	if (!sock_table_has(t->socks, AF_INET) || !sock_table_has(t->socks, AF_UNIX))
		snprintf(t->socks_why, sizeof(t->socks_why),
			 "sock_diag does not tell of %s (modules tcp_diag, unix_diag)",
			 sock_table_has(t->socks, AF_INET)   ? "unix sockets"
			 : sock_table_has(t->socks, AF_UNIX) ? "TCP sockets"
							     : "any sockets");
	return 0;
}

static int confirm(struct threads *t, struct autopsy *a, struct err *err)
{
	struct thread_raw *again = NULL;
	size_t n = 0;
	int rc = threads_look(t, true, &again, &n, err);

	if (rc)
		return rc;
	autopsy_confirm(a, again, n);
	thread_raw_free(again, n);
	return 0;
}

int threads_autopsy(struct threads *t, struct autopsy **ret, struct err *err)
{
	struct report_clock taken = report_clock_now();
	struct thread_raw *raw = NULL;
	struct autopsy *a = NULL;
	uint64_t socks_ns;
	size_t n = 0;
	int rc;

	rc = threads_look(t, false, &raw, &n, err);
	if (rc)
		return rc;
	rc = threads_look_files(t, err);
	socks_ns = t->borrowed ? 0 : mono_now_ns();
	if (!rc)
		rc = look_sockets(t, err);
	if (rc) {
		thread_raw_free(raw, n);
		return rc;
	}
	rc = autopsy_build(&a, t->pid, raw, n, &taken, &t->ops, err);
	if (rc)
		return rc;
	a->socks_ns = socks_ns;
	a->source = threads_source(t);
	a->source_why = t->skel ? NULL : strdup(t->why);
	rc = confirm(t, a, err);
	if (rc) {
		autopsy_free(a);
		return rc;
	}
	*ret = a;
	return 0;
}
