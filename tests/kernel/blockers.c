// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Threads blocked in known calls on known descriptors, for test_threads.py. Each thread prints one JSON line just before it
 * blocks; "ready" follows when all have. A line on stdin is answered with the counter of a thread that works all the time.
 * `blockers many THREADS FDS`: that many threads, each polling its share of that many sockets.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
#define KEEP_FRAME() __asm__ volatile("" ::: "memory") /* no tail call, so that the function is on the stack */

static int pipe_empty[2], pipe_full[2], pipe_other[2], event, idle[2], unread[2], zero[2], half[2], recv_pair[2], v6[2], mapped[2],
	unix_pair[2], stale[2], listener, full_listener, reused_fd, epoll_three_fd, epoll_stale_fd, epoll_number;
static struct sockaddr_in full_addr;
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t cond_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static volatile unsigned long counter;
static pthread_barrier_t all;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static pthread_mutex_t out = PTHREAD_MUTEX_INITIALIZER;

/* timeout_ms: -1 forever, -2 none. fds ends with -1. */
static void announce(const char *name, const char *call, long timeout_ms, const int *fds)
{
	pthread_setname_np(pthread_self(), name);
	pthread_mutex_lock(&out);
	printf("{\"name\":\"%s\",\"tid\":%ld,\"call\":\"%s\",\"timeout_ms\":%ld,\"fds\":[", name, syscall(SYS_gettid), call,
	       timeout_ms);
	for (int i = 0; fds[i] >= 0; i++)
		printf("%s%d", i ? "," : "", fds[i]);
	printf("]}\n");
	fflush(stdout);
	pthread_mutex_unlock(&out);
	pthread_barrier_wait(&all);
}
#define ANNOUNCE(call, timeout, ...) announce(__func__, call, timeout, (const int[]){__VA_ARGS__, -1})

NOINLINE static void poll_forever(void)
{
	struct pollfd p = {.fd = idle[0], .events = POLLIN};

	ANNOUNCE("poll", -1, idle[0]);
	poll(&p, 1, -1);
	KEEP_FRAME();
}

NOINLINE static void poll_three(void)
{
	struct pollfd p[4] = {{unix_pair[0], POLLIN, 0}, {-1, POLLIN, 0}, {pipe_empty[0], POLLIN, 0}, {event, POLLIN, 0}};

	ANNOUNCE("poll", 100000, unix_pair[0], pipe_empty[0], event);
	poll(p, 4, 100000);
	KEEP_FRAME();
}

NOINLINE static void ppoll_states(void)
{
	const struct timespec limit = {90, 500000000};
	struct pollfd p[] = {{unread[0], 0, 0}, {zero[0], 0, 0}, {v6[0], 0, 0}, {mapped[0], 0, 0}, {mapped[1], 0, 0}};

	ANNOUNCE("ppoll", 90500, unread[0], zero[0], v6[0], mapped[0], mapped[1]);
	ppoll(p, 5, &limit, NULL);
	KEEP_FRAME();
}

NOINLINE static void poll_half(void)
{
	struct pollfd p[] = {{half[0], 0, 0}, {half[1], 0, 0}};

	ANNOUNCE("poll", -1, half[0], half[1]);
	poll(p, 2, -1);
	KEEP_FRAME();
}

NOINLINE static void select_two(void)
{
	struct timeval limit = {70, 250000};
	fd_set in, outs;

	FD_ZERO(&in);
	FD_ZERO(&outs);
	FD_SET(pipe_empty[0], &in);
	FD_SET(pipe_full[1], &outs);
	ANNOUNCE("select", 70250, pipe_empty[0], pipe_full[1]);
	syscall(SYS_select, FD_SETSIZE, &in, &outs, NULL, &limit);
	KEEP_FRAME();
}

NOINLINE static void epoll_three(void)
{
	struct epoll_event ev;

	ANNOUNCE("epoll_wait", 80000, epoll_three_fd);
	epoll_wait(epoll_three_fd, &ev, 1, 80000);
	KEEP_FRAME();
}

NOINLINE static void epoll_stale(void)
{
	struct epoll_event ev;

	ANNOUNCE("epoll_wait", -1, epoll_stale_fd);
	epoll_wait(epoll_stale_fd, &ev, 1, -1);
	KEEP_FRAME();
}

NOINLINE static void mutex_wait(void)
{
	ANNOUNCE("futex", -1, -1);
	pthread_mutex_lock(&held);
	KEEP_FRAME();
}

NOINLINE static void cond_deadline(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 200;
	ANNOUNCE("futex", 200000, -1);
	pthread_mutex_lock(&cond_lock);
	pthread_cond_timedwait(&never, &cond_lock, &until);
	KEEP_FRAME();
}

NOINLINE static void raw_nanosleep(void)
{
	const struct timespec nap = {300, 7000000};

	ANNOUNCE("nanosleep", 300007, -1);
	syscall(SYS_nanosleep, &nap, NULL);
	KEEP_FRAME();
}

NOINLINE static void recv_one(void)
{
	char c;

	const struct timeval most = {50, 500000};

	if (setsockopt(recv_pair[0], SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most)))
		die("SO_RCVTIMEO");
	ANNOUNCE("recvfrom", 50500, recv_pair[0]);
	recv(recv_pair[0], &c, 1, 0);
	KEEP_FRAME();
}

NOINLINE static void accept_one(void)
{
	ANNOUNCE("accept", -1, listener);
	accept(listener, NULL, NULL);
	KEEP_FRAME();
}

NOINLINE static void connect_full(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ANNOUNCE("connect", -1, fd);
	connect(fd, (void *)&full_addr, sizeof(full_addr));
	KEEP_FRAME();
}

NOINLINE static void pipe_read(void)
{
	char c;

	ANNOUNCE("read", -2, pipe_empty[0]);
	if (read(pipe_empty[0], &c, 1) < 0)
		die("read");
	KEEP_FRAME();
}

NOINLINE static void pipe_write(void)
{
	char c = 0;

	ANNOUNCE("write", -2, pipe_full[1]);
	if (write(pipe_full[1], &c, 1) < 0)
		die("write");
	KEEP_FRAME();
}

NOINLINE static void poll_dead(void)
{
	struct pollfd p[] = {{pipe_other[0], POLLIN, 0}, {reused_fd, POLLIN, 0}};

	ANNOUNCE("poll", -1, pipe_other[0], reused_fd);
	poll(p, 2, -1);
	KEEP_FRAME();
}

NOINLINE static void worker(void)
{
	const struct timespec nap = {0, 1000000};

	pthread_setname_np(pthread_self(), "worker");
	pthread_barrier_wait(&all);
	for (;;) {
		counter++;
		nanosleep(&nap, NULL);
	}
}

static void *start(void *fn)
{
	void (*f)(void) = (void (*)(void))fn;

	f();
	return NULL;
}

static int listen_on(int family, int backlog, struct sockaddr_storage *addr, socklen_t *len)
{
	int fd = socket(family, SOCK_STREAM, 0), off = 0;

	memset(addr, 0, sizeof(*addr));
	addr->ss_family = (sa_family_t)family;
	*len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	if (family == AF_INET)
		((struct sockaddr_in *)addr)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (fd < 0 || bind(fd, (void *)addr, *len) || listen(fd, backlog) || getsockname(fd, (void *)addr, len))
		die("listen");
	return fd;
}

static void connect_pair(int l, const struct sockaddr_storage *addr, socklen_t len, int pair[2])
{
	pair[0] = socket(addr->ss_family, SOCK_STREAM, 0);
	if (pair[0] < 0 || connect(pair[0], (const void *)addr, len))
		die("connect");
	pair[1] = accept(l, NULL, NULL);
	if (pair[1] < 0)
		die("accept");
}

static void fill(int fd)
{
	static char zeros[65536];

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	while (write(fd, zeros, 1) > 0)
		;
	fcntl(fd, F_SETFL, 0);
}

static void set_up_sockets(void)
{
	struct sockaddr_storage addr, addr6;
	socklen_t len, len6;
	struct sockaddr_in to6;
	int l6, on = 1, small = 4096, fd;

	listener = listen_on(AF_INET, 8, &addr, &len);
	connect_pair(listener, &addr, len, idle);
	setsockopt(idle[0], SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (write(idle[0], "request", 7) != 7 || read(idle[1], (char[7]){0}, 7) != 7)
		die("idle");
	connect_pair(listener, &addr, len, unread);
	if (write(unread[1], "not read", 8) != 8)
		die("unread");
	setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)); /* of what it accepts from now on */
	connect_pair(listener, &addr, len, zero);
	fill(zero[0]);
	connect_pair(listener, &addr, len, half);
	shutdown(half[0], SHUT_WR);
	connect_pair(listener, &addr, len, recv_pair);
	connect_pair(listener, &addr, len, stale);

	l6 = listen_on(AF_INET6, 8, &addr6, &len6);
	to6 = (struct sockaddr_in){.sin_family = AF_INET,
				   .sin_port = ((struct sockaddr_in6 *)&addr6)->sin6_port,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	((struct sockaddr_in6 *)&addr6)->sin6_addr = in6addr_loopback;
	connect_pair(l6, &addr6, len6, v6);
	memcpy(&addr6, &to6, sizeof(to6));
	connect_pair(l6, &addr6, sizeof(to6), mapped);

	full_listener = listen_on(AF_INET, 0, &addr, &len);
	memcpy(&full_addr, &addr, sizeof(full_addr));
	for (int i = 0; i < 3; i++) { /* what is not accepted fills the backlog; later ones stay in SYN-SENT */
		fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fd, (void *)&addr, len);
	}
}

static void add(int epfd, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN};

	if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev))
		die("epoll_ctl");
}

static void set_up(void)
{
	int numbered;

	if (pipe(pipe_empty) || pipe(pipe_full) || pipe(pipe_other) || socketpair(AF_UNIX, SOCK_STREAM, 0, unix_pair))
		die("pipe");
	event = eventfd(0, 0);
	fill(pipe_full[1]);
	set_up_sockets();
	epoll_three_fd = epoll_create1(0);
	add(epoll_three_fd, idle[0]);
	add(epoll_three_fd, pipe_empty[0]);
	add(epoll_three_fd, unix_pair[0]);
	/* a member whose number means another file by now; a copy keeps the first one open */
	epoll_stale_fd = epoll_create1(0);
	epoll_number = dup(recv_pair[0]);
	add(epoll_stale_fd, epoll_number);
	numbered = dup(epoll_number);
	dup2(pipe_empty[0], epoll_number);
	if (numbered < 0)
		die("dup");
	reused_fd = stale[0];
	pthread_mutex_lock(&held);
}

static void answer_questions(void)
{
	char line[64];

	while (fgets(line, sizeof(line), stdin)) {
		printf("{\"counter\":%lu,\"now_ns\":%lld}\n", counter, now_ns());
		fflush(stdout);
	}
}

static struct pollfd *share;
static int share_size;

NOINLINE static void poll_share(struct pollfd *mine)
{
	pthread_barrier_wait(&all);
	poll(mine, (nfds_t)share_size, -1);
	KEEP_FRAME();
}

static void *start_share(void *mine)
{
	poll_share(mine);
	return NULL;
}

static void many(int threads, int fds)
{
	const struct rlimit files = {200000, 200000};
	struct sockaddr_storage addr;
	pthread_attr_t attr;
	socklen_t len;
	pthread_t t;

	setrlimit(RLIMIT_NOFILE, &files);
	listener = listen_on(AF_INET, 128, &addr, &len);
	share = calloc((size_t)fds, sizeof(*share));
	for (int i = 0; i + 1 < fds; i += 2) {
		int pair[2];

		connect_pair(listener, &addr, len, pair);
		share[i] = (struct pollfd){pair[0], POLLIN, 0};
		share[i + 1] = (struct pollfd){pair[1], POLLIN, 0};
	}
	share_size = fds / threads;
	pthread_barrier_init(&all, NULL, (unsigned)threads + 1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (int i = 0; i < threads; i++) {
		if (pthread_create(&t, &attr, start_share, share + (ptrdiff_t)i * share_size))
			die("pthread_create");
	}
	pthread_barrier_wait(&all);
}

struct flipper {
	unsigned random;
	struct timespec nap;
};

static unsigned next_random(struct flipper *f)
{
	return (f->random = f->random * 1103515245u + 12345u) >> 16;
}

static int odd(unsigned depth, struct flipper *f);

/* Frames of different sizes in changing order: what stands on the stack at a moment fits no other moment's registers. */
static __attribute__((noinline)) int even(unsigned depth, struct flipper *f)
{
	volatile char room[24] = {(char)depth};

	if (!depth)
		return nanosleep(&f->nap, NULL) + room[0];
	return (next_random(f) & 1 ? odd(depth - 1, f) : even(depth - 1, f)) + room[0];
}

static __attribute__((noinline)) int odd(unsigned depth, struct flipper *f)
{
	volatile char room[200] = {(char)depth};

	if (!depth)
		return nanosleep(&f->nap, NULL) + room[0];
	return (next_random(f) & 1 ? even(depth - 1, f) : odd(depth - 1, f)) + room[0];
}

static void *flip(void *arg)
{
	uintptr_t n = (uintptr_t)arg;
	/* from 0.2 ms to 0.8 s */
	struct flipper f = {.random = (unsigned)n, .nap = {.tv_nsec = 200000L << n % 13}};

	for (;;)
		even(next_random(&f) & 15, &f);
	return NULL;
}

static void flipping(int threads)
{
	pthread_t t;

	for (int i = 0; i < threads; i++) {
		if (pthread_create(&t, NULL, flip, (void *)(uintptr_t)(i + 1)))
			die("pthread_create");
	}
}

int main(int argc, char **argv)
{
	static void (*const bodies[])(void) = {
		poll_forever, poll_three,   ppoll_states, poll_half,	 select_two,	epoll_three, epoll_stale, mutex_wait,
		cond_deadline, raw_nanosleep, recv_one,	  accept_one, connect_full, pipe_read,	 pipe_write,  poll_dead,
		worker,
	};
	const unsigned n = sizeof(bodies) / sizeof(bodies[0]);
	pthread_t t;

	if (argc == 4 && !strcmp(argv[1], "many")) {
		many(atoi(argv[2]), atoi(argv[3]));
	} else if (argc == 3 && !strcmp(argv[1], "flip")) {
		flipping(atoi(argv[2]));
	} else {
		set_up();
		pthread_barrier_init(&all, NULL, n + 1);
		for (unsigned i = 0; i < n; i++) {
			if (pthread_create(&t, NULL, start, (void *)bodies[i]))
				die("pthread_create");
		}
		pthread_barrier_wait(&all);
		usleep(200000);
		/* the number that poll_dead polls means another file from now on */
		dup2(v6[1], reused_fd);
	}
	usleep(300000);
	printf("{\"ready\":%d,\"now_ns\":%lld,\"held_port_of\":%d}\n", getpid(), now_ns(), stale[1]);
	fflush(stdout);
	answer_questions();
	return 0;
}
