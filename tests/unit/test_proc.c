// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Process facts, compared with what this process and its child know of themselves. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "arch/syscalls.h"
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "proc/fd.h"
#include "proc/holders.h"
#include "proc/kin.h"
#include "proc/loaded.h"
#include "proc/maps.h"
#include "proc/mem.h"
#include "proc/process.h"
#include "proc/task.h"

static void test_maps_parse(void **state)
{
	static char text[] = "00400000-00401000 r--p 00000000 fe:01 1234   /usr/bin/a b\n"
			     "00401000-00402000 r-xp 00001000 fe:01 1234   /usr/bin/x (deleted)\n"
			     "7f0000000000-7f0000001000 rw-s 00000000 00:00 0 \n"
			     "7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0  [stack]\n"
			     "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]\n";
	static char bad[] = "00400000 r--p\n";
	struct proc_maps m;
	struct err err;
	FILE *f;

	(void)state;
	f = fmemopen(text, strlen(text), "r");
	assert_int_equal(proc_maps_parse(&m, f, &err), 0);
	fclose(f);
	assert_int_equal(m.n, 5);
	assert_string_equal(m.v[0].path, "/usr/bin/a b");
	assert_false(m.v[0].deleted);
	assert_int_equal(m.v[0].inode, 1234);
	assert_int_equal(m.v[0].perms, PROC_R);
	assert_string_equal(m.v[1].path, "/usr/bin/x");
	assert_true(m.v[1].deleted);
	assert_int_equal(m.v[1].offset, 0x1000);
	assert_int_equal(m.v[1].perms, PROC_R | PROC_X);
	assert_null(m.v[2].path);
	assert_int_equal(m.v[2].perms, PROC_R | PROC_W | PROC_SHARED);
	assert_string_equal(m.v[3].path, "[stack]");
	assert_ptr_equal(proc_maps_find(&m, 0x400fff), &m.v[0]);
	assert_ptr_equal(proc_maps_find(&m, 0x401000), &m.v[1]);
	assert_null(proc_maps_find(&m, 0x402000));
	assert_null(proc_maps_find(&m, 0x3fffff));
	assert_ptr_equal(proc_maps_find(&m, 0xffffffffff600000), &m.v[4]);
	proc_maps_deinit(&m);

	f = fmemopen(bad, strlen(bad), "r");
	assert_int_equal(proc_maps_parse(&m, f, &err), -EBADMSG);
	fclose(f);
	assert_int_equal(m.n, 0);
}

static void maps_of(struct proc_maps *ret, const char *text)
{
	FILE *f = fmemopen((void *)text, strlen(text), "r");

	assert_non_null(f);
	assert_int_equal(proc_maps_parse(ret, f, NULL), 0);
	fclose(f);
}

static void write_change(void *ctx, const struct loaded_change *c)
{
	char *out = ctx;

	snprintf(out + strlen(out), 256 - strlen(out), "%s %llx %llx %llx\n", c->map->path,
		 (unsigned long long)c->map->start, (unsigned long long)c->from, (unsigned long long)c->size);
}

/* Compares with what is mapped now; what was told, line by line. */
static const char *changes(struct loaded *l, const char *now, bool moves)
{
	static char out[256];
	struct proc_maps maps;

	out[0] = '\0';
	maps_of(&maps, now);
	assert_int_equal(loaded_compare(l, &maps, moves, write_change, out), 0);
	proc_maps_deinit(&maps);
	return out;
}

#define EXE "400000-401000 r--p 00000000 08:01 5 /bin/x\n"
#define LIB "700000-701000 r--p 00000000 08:01 7 /lib/a.so\n701000-704000 r-xp 00001000 08:01 7 /lib/a.so\n"

static void test_loaded(void **state)
{
	struct proc_maps maps;
	struct loaded *l;

	(void)state;
	maps_of(&maps, EXE);
	assert_int_equal(loaded_create(&l, &maps), 0);
	proc_maps_deinit(&maps);
	assert_string_equal(changes(l, EXE "500000-501000 rw-p 00000000 00:00 0 \n", true), "");
	/* new, once; another file of its number on another device is another file */
	assert_string_equal(changes(l, EXE LIB, true), "/lib/a.so 700000 0 4000\n");
	assert_string_equal(changes(l, EXE LIB, true), "");
	assert_string_equal(changes(l, EXE LIB "780000-781000 r--p 00000000 08:02 7 /mnt/a.so\n", true),
			    "/mnt/a.so 780000 0 1000\n");
	/* not from its start: not loaded as a library is */
	assert_string_equal(changes(l, EXE LIB "790000-791000 r--p 00001000 08:01 9 /lib/b.so\n", true), "");
	/* gone, then elsewhere: told when moves are, once */
	assert_string_equal(changes(l, EXE, true), "");
	assert_string_equal(changes(l, EXE "720000-721000 r--p 00000000 08:01 7 /lib/a.so\n", false), "");
	assert_string_equal(changes(l, EXE "720000-721000 r--p 00000000 08:01 7 /lib/a.so\n", true),
			    "/lib/a.so 720000 700000 1000\n");
	assert_string_equal(changes(l, EXE "720000-721000 r--p 00000000 08:01 7 /lib/a.so\n", true), "");
	/* a second time beside the first: it has not moved */
	assert_string_equal(changes(l,
				    EXE "720000-721000 r--p 00000000 08:01 7 /lib/a.so\n"
					"740000-741000 r--p 00000000 08:01 7 /lib/a.so\n",
				    true),
			    "");
	loaded_free(l);
}

static void test_maps_self(void **state)
{
	const struct proc_map *code, *stack;
	struct proc_maps m;
	struct err err;

	(void)state;
	assert_int_equal(proc_maps_read(&m, getpid(), &err), 0);
	code = proc_maps_find(&m, (uint64_t)(uintptr_t)test_maps_self);
	assert_non_null(code);
	assert_int_equal(code->perms & (PROC_X | PROC_W), PROC_X);
	assert_non_null(strstr(code->path, "test_proc"));
	stack = proc_maps_find(&m, (uint64_t)(uintptr_t)__builtin_frame_address(0));
	assert_non_null(stack);
	assert_string_equal(stack->path, "[stack]");
	proc_maps_deinit(&m);
	assert_int_equal(proc_maps_read(&m, 0x7ffffff0, &err), -ESRCH);
}

static void test_mem_partial(void **state)
{
	long page = sysconf(_SC_PAGESIZE);
	char *p = mmap(NULL, 4 * (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char buf[3 * 65536];
	struct proc_read v[4];

	(void)state;
	assert_int_not_equal(p, MAP_FAILED);
	memset(p, 'a', 4 * (size_t)page);
	assert_int_equal(munmap(p + 2 * page, (size_t)page), 0);

	assert_int_equal(proc_mem_read(getpid(), (uintptr_t)p, buf, 2 * (size_t)page), 2 * page);
	assert_int_equal(proc_mem_read(getpid(), (uintptr_t)p + 100, buf, 3 * (size_t)page), 2 * page - 100);
	assert_int_equal(proc_mem_read(getpid(), (uintptr_t)p + 2 * (size_t)page, buf, 8), -EFAULT);
	assert_int_equal(proc_mem_read(0x7ffffff0, (uintptr_t)p, buf, 8), -ESRCH);

	v[0] = (struct proc_read){.addr = (uintptr_t)p, .buf = buf, .len = 16};
	v[1] = (struct proc_read){.addr = (uintptr_t)p + 2 * (size_t)page - 4, .buf = buf + 100, .len = 8};
	v[2] = (struct proc_read){.addr = 8, .buf = buf + 200, .len = 8};
	v[3] = (struct proc_read){.addr = (uintptr_t)p + 3 * (size_t)page, .buf = buf + 300, .len = 8};
	memset(buf, 0, sizeof(buf));
	assert_int_equal(proc_mem_readv(getpid(), v, 4), 0);
	assert_int_equal(v[0].done, 16);
	assert_int_equal(v[1].done, 4);
	assert_int_equal(v[2].done, 0);
	assert_int_equal(v[3].done, 8);
	assert_memory_equal(buf + 100, "aaaa\0\0\0", 8);
	assert_memory_equal(buf + 300, "aaaaaaaa", 8);
	munmap(p, 2 * (size_t)page);
	munmap(p + 3 * page, (size_t)page);
}

/* More reads than one call takes, unreadable ones at the seams. */
static void test_mem_many(void **state)
{
	enum { N = 2500 };
	static uint64_t from[N], to[N];
	static struct proc_read v[N];

	(void)state;
	for (int i = 0; i < N; i++) {
		from[i] = 0x1000u + (unsigned)i;
		v[i] = (struct proc_read){.addr = (uintptr_t)&from[i], .buf = &to[i], .len = 8};
	}
	v[0].addr = v[1023].addr = v[1024].addr = v[N - 1].addr = 16;
	assert_int_equal(proc_mem_readv(getpid(), v, N), 0);
	for (int i = 0; i < N; i++) {
		bool dead = v[i].addr == 16;

		assert_int_equal(v[i].done, dead ? 0 : 8);
		assert_int_equal(to[i], dead ? 0 : from[i]);
	}
}

struct poller {
	int fd;
	pid_t tid;
	struct pollfd pfd;
};

static void *poller_main(void *arg)
{
	struct poller *p = arg;

	prctl(PR_SET_NAME, "poller (x) 1");
	p->pfd = (struct pollfd){.fd = p->fd, .events = POLLIN};
	__atomic_store_n(&p->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	poll(&p->pfd, 1, 4242);
	return NULL;
}

static void test_threads(void **state)
{
	struct proc_syscall sc = {0};
	struct proc_switches a, b;
	struct proc_threads t;
	struct poller p = {0};
	const char word = 'x';
	pthread_t thread;
	struct err err;
	int s[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	p.fd = s[0];
	assert_int_equal(pthread_create(&thread, NULL, poller_main, &p), 0);
	for (int i = 0; i < 2000 && !(sc.state == PROC_IN_SYSCALL && sc.nr == SYS_poll); i++) {
		usleep(1000);
		if (__atomic_load_n(&p.tid, __ATOMIC_ACQUIRE))
			assert_int_equal(proc_task_syscall(getpid(), p.tid, &sc), 0);
	}
	assert_int_equal(sc.nr, SYS_poll);
	assert_string_equal(proc_syscall_name(sc.nr), "poll");
	assert_int_equal(sc.arg[0], (uintptr_t)&p.pfd);
	assert_int_equal(sc.arg[1], 1);
	assert_int_equal((int)sc.arg[2], 4242);

	assert_int_equal(proc_task_switches(getpid(), p.tid, &a), 0);
	assert_int_equal(proc_task_switches(getpid(), p.tid, &b), 0);
	assert_int_equal(a.voluntary, b.voluntary);

	assert_int_equal(proc_threads_read(&t, getpid(), &err), 0);
	assert_true(t.n >= 2);
	for (size_t i = 0; i < t.n; i++) {
		if (t.v[i].tid != p.tid)
			continue;
		assert_string_equal(t.v[i].comm, "poller (x) 1");
		assert_int_equal(t.v[i].state, 'S');
		p.tid = 0;
	}
	assert_int_equal(p.tid, 0);
	proc_threads_deinit(&t);
	assert_int_equal(proc_threads_read(&t, 0x7ffffff0, &err), -ESRCH);

	assert_int_equal(write(s[1], &word, 1), 1);
	pthread_join(thread, NULL);
	close(s[0]);
	close(s[1]);
}

static void test_syscall_parse(void **state)
{
	struct proc_syscall s;

	(void)state;
	assert_int_equal(proc_syscall_parse("running\n", &s), 0);
	assert_int_equal(s.state, PROC_RUNNING);
	assert_int_equal(proc_syscall_parse("-1 0x7ffc10 0x401136\n", &s), 0);
	assert_int_equal(s.state, PROC_NO_SYSCALL);
	assert_int_equal(s.sp, 0x7ffc10);
	assert_int_equal(s.pc, 0x401136);
	assert_int_equal(proc_syscall_parse("7 0x1 0x2 0xffffffffffffffff 0x4 0x5 0x6 0x70 0x80\n", &s), 0);
	assert_int_equal(s.state, PROC_IN_SYSCALL);
	assert_int_equal(s.nr, 7);
	assert_true(s.arg[2] == UINT64_MAX);
	assert_int_equal(s.arg[5], 6);
	assert_int_equal(s.sp, 0x70);
	assert_int_equal(s.pc, 0x80);
	assert_int_equal(proc_syscall_parse("7 0x1 0x2\n", &s), -EBADMSG);
	assert_int_equal(proc_syscall_parse("", &s), -EBADMSG);
	assert_string_equal(proc_syscall_name(SYS_futex), "futex");
	assert_null(proc_syscall_name(-1));
	assert_null(proc_syscall_name(100000));
}

static void test_kstack_parse(void **state)
{
	struct proc_kstack k;

	(void)state;
	assert_int_equal(
		proc_kstack_parse("[<0>] poll_schedule_timeout.constprop.13+0x42/0x70\n"
				  "[<0>] tcp_x+0x1/0x2 [mod]\n[<ffffffffffffffff>] 0xffffffffffffffff\n",
				  &k),
		0);
	assert_int_equal(k.n, 2);
	assert_string_equal(k.v[0], "poll_schedule_timeout.constprop.13");
	assert_string_equal(k.v[1], "tcp_x");
	proc_kstack_deinit(&k);
	assert_int_equal(proc_kstack_parse("", &k), 0);
	assert_int_equal(k.n, 0);
}

static void test_status(void **state)
{
	static const char text[] =
		"Name:\ta\\nb\nState:\tS (sleeping)\nTgid:\t7\nPid:\t7\nPPid:\t3\nTracerPid:\t9\n"
		"Uid:\t1000\t1001\t0\t0\nNSpid:\t700\t31\t7\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 "
		"kB\nThreads:\t12\n";
	struct proc_status s;
	struct err err;

	(void)state;
	assert_int_equal(proc_status_parse(text, &s), 0);
	assert_string_equal(s.comm, "a\nb");
	assert_int_equal(s.state, 'S');
	assert_int_equal(s.ppid, 3);
	assert_int_equal(s.tracer, 9);
	assert_int_equal(s.uid, 1000);
	assert_int_equal(s.euid, 1001);
	assert_int_equal(s.ns_depth, 3);
	assert_int_equal(s.ns_pid[2], 7);
	assert_int_equal(s.peak_rss_kib, 2048);
	assert_int_equal(s.threads, 12);
	assert_int_equal(proc_status_parse("Name:\tx\n", &s), -EBADMSG);

	assert_int_equal(proc_status_read(&s, getpid(), &err), 0);
	assert_int_equal(s.tgid, getpid());
	assert_int_equal(s.ppid, getppid());
	assert_int_equal(s.uid, getuid());
	assert_int_equal(proc_status_read(&s, 0x7ffffff0, &err), -ESRCH);
}

static void test_exe_and_name(void **state)
{
	struct proc_exe exe;
	struct proc_pids pids;
	uint64_t a = 0, b = 0;
	struct stat st;
	struct err err;
	int pipefd[2];
	char go;
	pid_t child;

	(void)state;
	assert_int_equal(proc_exe_read(&exe, getpid(), &err), 0);
	assert_int_equal(stat("/proc/self/exe", &st), 0);
	assert_int_equal(exe.inode, st.st_ino);
	assert_false(exe.deleted);
	assert_non_null(strstr(exe.path, "/test_proc"));
	assert_true(strlen(exe.build_id) >= 16);
	proc_exe_deinit(&exe);

	assert_int_equal(pipe(pipefd), 0);
	child = fork();
	if (!child) {
		prctl(PR_SET_NAME, "culprit-child-a");
		if (write(pipefd[1], "x", 1) == 1)
			pause();
		_exit(0);
	}
	assert_int_equal(read(pipefd[0], &go, 1), 1);
	assert_int_equal(proc_find_comm("culprit-child-a", &pids, &err), 0);
	assert_int_equal(pids.n, 1);
	assert_int_equal(pids.v[0], child);
	proc_pids_deinit(&pids);
	/* longer than a comm can be: then the executable's name decides, which differs here */
	assert_int_equal(proc_find_comm("culprit-child-abc", &pids, &err), 0);
	assert_int_equal(pids.n, 0);
	proc_pids_deinit(&pids);
	assert_int_equal(proc_find_comm("culprit-child", &pids, &err), 0);
	assert_int_equal(pids.n, 0);
	proc_pids_deinit(&pids);
	assert_int_equal(proc_start_ticks(child, &a), 0);
	assert_int_equal(proc_start_ticks(getpid(), &b), 0);
	assert_true(a >= b && b > 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_int_equal(proc_start_ticks(child, &a), -ESRCH);
	close(pipefd[0]);
	close(pipefd[1]);
}

static void test_fds(void **state)
{
	int s[2], ep, ev, file;
	struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.u64 = 0x123456789abcull};
	struct proc_epoll members;
	struct proc_fds all;
	struct proc_fd f;
	struct stat st;
	struct err err;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	ep = epoll_create1(0);
	ev = eventfd(0, 0);
	file = open("/proc/self/exe", O_RDONLY);
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, s[0], &e), 0);
	assert_int_equal(fstat(s[0], &st), 0);

	assert_int_equal(proc_fd_read(&f, getpid(), s[0]), 0);
	assert_int_equal(f.kind, PROC_FD_SOCKET);
	assert_int_equal(f.inode, st.st_ino);
	proc_fd_deinit(&f);
	assert_int_equal(proc_fd_read(&f, getpid(), ev), 0);
	assert_int_equal(f.kind, PROC_FD_EVENTFD);
	proc_fd_deinit(&f);
	assert_int_equal(proc_fd_read(&f, getpid(), file), 0);
	assert_int_equal(f.kind, PROC_FD_FILE);
	assert_non_null(strstr(f.target, "test_proc"));
	proc_fd_deinit(&f);
	assert_int_equal(proc_fd_read(&f, getpid(), 9999), -EBADF);

	assert_int_equal(proc_epoll_read(&members, getpid(), ep), 0);
	assert_int_equal(members.n, 1);
	assert_int_equal(members.v[0].fd, s[0]);
	assert_int_equal(members.v[0].events & (EPOLLIN | EPOLLET), EPOLLIN | EPOLLET);
	assert_true(members.v[0].data == 0x123456789abcull);
	assert_int_equal(members.v[0].inode, st.st_ino);
	proc_epoll_deinit(&members);
	assert_int_equal(proc_epoll_read(&members, getpid(), ev), -EINVAL);
	assert_int_equal(proc_epoll_read(&members, getpid(), 9999), -EBADF);

	assert_int_equal(proc_fds_read(&all, getpid(), &err), 0);
	for (size_t i = 0; i < all.n; i++) {
		if (i)
			assert_true(all.v[i - 1].fd < all.v[i].fd);
		if (all.v[i].fd == ep)
			assert_int_equal(all.v[i].kind, PROC_FD_EPOLL);
	}
	assert_true(all.n >= 5);
	proc_fds_deinit(&all);
	close(s[0]);
	close(s[1]);
	close(ep);
	close(ev);
	close(file);
}

static void test_holders(void **state)
{
	const struct proc_holder *v;
	struct proc_holders h;
	struct stat st;
	int s[2], again;
	size_t n;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	again = dup(s[0]); /* the same process, once */
	assert_int_equal(fstat(s[0], &st), 0);
	assert_int_equal(proc_holders_read(&h), 0);
	v = proc_holders_find(&h, st.st_ino, &n);
	assert_int_equal(n, 1);
	assert_int_equal(v->pid, getpid());
	assert_int_equal(v->fd, s[0]);
	assert_null(proc_holders_find(&h, st.st_ino ^ (1ULL << 40), &n));
	assert_int_equal(n, 0);
	proc_holders_deinit(&h);
	close(s[0]);
	close(s[1]);
	close(again);
}

/* A connection that came with fork: parent and child have it, until one of them closes it. */
static void kin(void **state)
{
	int sv[2], pipes[2];
	struct stat st;
	char c;
	pid_t child;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(fstat(sv[0], &st), 0);
	child = fork();
	if (!child) {
		close(sv[1]);
		close(pipes[1]);
		_exit((int)read(pipes[0], &c, 1));
	}
	assert_true(child > 0);
	assert_true(proc_kin_has_socket(getpid(), st.st_ino));
	assert_true(proc_kin_has_socket(child, st.st_ino));
	close(sv[0]);
	assert_false(proc_kin_has_socket(child, st.st_ino));
	assert_true(proc_kin_has_socket(getpid(), st.st_ino));
	close(pipes[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_false(proc_kin_has_socket(getpid(), st.st_ino));
	assert_true(proc_kin_has_socket(child, st.st_ino)); /* gone: nothing can be told */
	close(sv[1]);
	close(pipes[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kin),
		cmocka_unit_test(test_maps_parse),
		cmocka_unit_test(test_loaded),
		cmocka_unit_test(test_maps_self),
		cmocka_unit_test(test_mem_partial),
		cmocka_unit_test(test_mem_many),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_syscall_parse),
		cmocka_unit_test(test_kstack_parse),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_exe_and_name),
		cmocka_unit_test(test_fds),
		cmocka_unit_test(test_holders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
