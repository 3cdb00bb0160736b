// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * One thread for each system call that can get stuck, for test_sources.py: a server that answers all requests but one kind,
 * and clients that block in a different call each. Each thread prints one JSON line with what a tool must say of it; then
 * "ready". A line on stdin starts the stalls, a second one ends them: the server answers, reads and goes away.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_S 600
#define BULK	65536

enum where { TCP, UNIX, PIPE, FULL, LISTENER };

struct stuck {
	const char *name, *call, *verdict; /* verdict "": healthy */
	void (*block)(int fd);
	enum where where;
	long timeout_ms; /* -1 forever, -2 none */
	const char *lost_by; /* the call that takes the descriptor away meanwhile */
	int fd;
	pid_t tid;
};

static struct sockaddr_in server;
static struct sockaddr_un local;
static pthread_barrier_t planted, started;
static char bulk[BULK];
static int bulk_file;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static struct pollfd in(int fd)
{
	return (struct pollfd){fd, POLLIN, 0};
}

static void by_poll(int fd)
{
	struct pollfd p = in(fd);

	poll(&p, 1, -1);
}

static void by_ppoll(int fd)
{
	struct pollfd p = in(fd);
	struct timespec t = {LIMIT_S, 0};

	ppoll(&p, 1, &t, NULL);
}

static void by_select(int fd)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	syscall(SYS_select, fd + 1, &set, NULL, NULL, NULL);
}

static void by_pselect(int fd)
{
	struct timespec t = {LIMIT_S, 0};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	syscall(SYS_pselect6, fd + 1, &set, NULL, NULL, &t, NULL);
}

static int epoll_of(int fd)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int epfd = epoll_create1(0);

	if (epfd < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev))
		die("epoll");
	return epfd;
}

static void by_epoll_wait(int fd)
{
	struct epoll_event ev;

	syscall(SYS_epoll_wait, epoll_of(fd), &ev, 1, -1);
}

static void by_epoll_pwait(int fd)
{
	struct epoll_event ev;

	syscall(SYS_epoll_pwait, epoll_of(fd), &ev, 1, LIMIT_S * 1000, NULL, 8);
}

static void by_epoll_pwait2(int fd)
{
	struct timespec t = {LIMIT_S, 0};
	struct epoll_event ev;

	syscall(SYS_epoll_pwait2, epoll_of(fd), &ev, 1, &t, NULL, 8);
}

static void by_read(int fd)
{
	char c;

	if (read(fd, &c, 1) < 0)
		return;
}

static void by_readv(int fd)
{
	char c;
	struct iovec v = {&c, 1};

	if (readv(fd, &v, 1) < 0)
		return;
}

static void by_recvfrom(int fd)
{
	char c;

	recv(fd, &c, 1, 0);
}

static void by_recv_timeout(int fd)
{
	struct timeval t = {LIMIT_S, 0};

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)))
		die("SO_RCVTIMEO");
	by_recvfrom(fd);
}

static void by_recvmsg(int fd)
{
	char c;
	struct iovec v = {&c, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	recvmsg(fd, &m, 0);
}

static void by_recvmmsg(int fd)
{
	char c;
	struct iovec v = {&c, 1};
	struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};

	recvmmsg(fd, &m, 1, 0, NULL);
}

/* Until the peer's and the own buffer are full. */
static void by_write(int fd)
{
	while (write(fd, bulk, BULK) > 0)
		;
}

static void by_writev(int fd)
{
	struct iovec v = {bulk, BULK};

	while (writev(fd, &v, 1) > 0)
		;
}

static void by_sendto(int fd)
{
	while (send(fd, bulk, BULK, 0) > 0)
		;
}

static void by_sendmsg(int fd)
{
	struct iovec v = {bulk, BULK};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	while (sendmsg(fd, &m, 0) > 0)
		;
}

static void by_sendmmsg(int fd)
{
	struct iovec v = {bulk, BULK};
	struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};

	while (sendmmsg(fd, &m, 1, 0) > 0)
		;
}

static void by_sendfile(int fd)
{
	off_t from;

	do {
		from = 0;
	} while (sendfile(fd, bulk_file, &from, BULK) > 0);
}

static void by_connect(int fd)
{
	struct sockaddr_in full;
	socklen_t len = sizeof(full);
	int at = socket(AF_INET, SOCK_STREAM, 0), one;

	/* nothing is accepted here: a backlog of none takes one connection, further ones get no answer */
	full = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (bind(at, (void *)&full, len) || listen(at, 0) || getsockname(at, (void *)&full, &len))
		die("listen");
	for (int i = 0; i < 3; i++) {
		one = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(one, (void *)&full, len);
	}
	connect(fd, (void *)&full, len);
}

static void by_accept(int fd)
{
	accept(fd, NULL, NULL);
}

static void by_accept4(int fd)
{
	accept4(fd, NULL, NULL, 0);
}

static struct stuck threads[] = {
	{"poll", "poll", "peer-silent", by_poll, TCP, -1},
	{"ppoll", "ppoll", "peer-silent", by_ppoll, TCP, LIMIT_S * 1000},
	{"select", "select", "peer-silent", by_select, TCP, -1},
	{"pselect6", "pselect6", "peer-silent", by_pselect, TCP, LIMIT_S * 1000},
	{"epoll_wait", "epoll_wait", "peer-silent", by_epoll_wait, TCP, -1},
	{"epoll_pwait", "epoll_pwait", "peer-silent", by_epoll_pwait, TCP, LIMIT_S * 1000},
	{"epoll_pwait2", "epoll_pwait2", "peer-silent", by_epoll_pwait2, TCP, LIMIT_S * 1000},
	{"read", "read", "peer-silent", by_read, TCP, -1},
	{"readv", "readv", "peer-silent", by_readv, TCP, -1},
	{"recvfrom", "recvfrom", "peer-silent", by_recvfrom, TCP, -1},
	{"recv-timeout", "recvfrom", "peer-silent", by_recv_timeout, TCP, LIMIT_S * 1000},
	{"recvmsg", "recvmsg", "peer-silent", by_recvmsg, TCP, -1},
	{"recvmmsg", "recvmmsg", "peer-silent", by_recvmmsg, TCP, -1},
	{"unix-read", "read", "peer-silent", by_read, UNIX, -1},
	{"unix-poll", "poll", "peer-silent", by_poll, UNIX, -1},
	{"write", "write", "peer-window-closed", by_write, TCP, -1},
	{"writev", "writev", "peer-window-closed", by_writev, TCP, -1},
	{"sendto", "sendto", "peer-window-closed", by_sendto, TCP, -1},
	{"sendmsg", "sendmsg", "peer-window-closed", by_sendmsg, TCP, -1},
	{"sendmmsg", "sendmmsg", "peer-window-closed", by_sendmmsg, TCP, -1},
	{"sendfile", "sendfile", "peer-window-closed", by_sendfile, TCP, -1},
	{"unix-write", "write", "local-writer-blocked", by_write, UNIX, -1},
	{"pipe-write", "write", "local-writer-blocked", by_write, PIPE, -2},
	{"connect", "connect", "connect-pending", by_connect, FULL, -1},
	{"closed", "poll", "polling-dead-fd", by_poll, TCP, -1, "close"},
	{"replaced", "poll", "polling-dead-fd", by_poll, TCP, -1, "dup2"},
	{"range-closed", "recvfrom", "polling-dead-fd", by_recvfrom, TCP, -1, "close_range"},
	{"accept-closed", "accept", "polling-dead-fd", by_accept, LISTENER, -1, "close"},
	{"accept", "accept4", "", by_accept4, LISTENER, -1},
};
#define N_THREADS (sizeof(threads) / sizeof(threads[0]))

static bool has(const struct stuck *s)
{
	if (s->block == by_epoll_pwait2)
		return syscall(SYS_epoll_pwait2, -1, NULL, 0, NULL, NULL, 8) < 0 && errno != ENOSYS;
	if (s->lost_by && !strcmp(s->lost_by, "close_range"))
		return !syscall(SYS_close_range, 100000, 100000, 0);
	return true;
}

/* 'e' is answered, all else is not; after 'w' no more is read. */
static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char c;

	while (read(fd, &c, 1) == 1 && c != 'w')
		if (c == 'e' && write(fd, &c, 1) != 1)
			break;
	pause();
	return NULL;
}

static void *accept_all(void *arg)
{
	pthread_t t;
	int fd;

	while ((fd = accept((int)(intptr_t)arg, NULL, NULL)) >= 0)
		pthread_create(&t, NULL, serve, (void *)(intptr_t)fd);
	return NULL;
}

static pid_t start_server(void)
{
	int tcp = socket(AF_INET, SOCK_STREAM, 0), ux = socket(AF_UNIX, SOCK_STREAM, 0);
	socklen_t len = sizeof(server);
	pthread_t t;
	pid_t pid;

	server = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	local.sun_family = AF_UNIX;
	snprintf(local.sun_path + 1, sizeof(local.sun_path) - 1, "stuckcalls-%d", getpid());
	if (bind(tcp, (void *)&server, len) || listen(tcp, 64) || getsockname(tcp, (void *)&server, &len) ||
	    bind(ux, (void *)&local, sizeof(local)) || listen(ux, 64))
		die("listen");
	pid = fork();
	if (pid) {
		close(tcp);
		close(ux);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a client that is killed leaves no server behind */
	pthread_create(&t, NULL, accept_all, (void *)(intptr_t)ux);
	accept_all((void *)(intptr_t)tcp);
	_exit(0);
}

static int open_one(enum where where)
{
	int fd, pair[2];

	switch (where) {
	case PIPE:
		return pipe(pair) ? -1 : pair[1];
	case FULL:
		return socket(AF_INET, SOCK_STREAM, 0);
	case LISTENER:
		fd = socket(AF_INET, SOCK_STREAM, 0);
		return listen(fd, 8) ? -1 : fd;
	default:
		fd = socket(where == UNIX ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
		if (connect(fd, where == UNIX ? (void *)&local : (void *)&server, where == UNIX ? sizeof(local) : sizeof(server)))
			die("connect");
		return fd;
	}
}

static void *run(void *arg)
{
	struct stuck *s = arg;
	bool peer = s->where == TCP || s->where == UNIX;
	char c;

	s->tid = (pid_t)syscall(SYS_gettid);
	pthread_setname_np(pthread_self(), s->name);
	pthread_barrier_wait(&started);
	pthread_barrier_wait(&planted);
	for (int i = 0; peer && i < 2; i++)
		if (write(s->fd, "e", 1) != 1 || read(s->fd, &c, 1) != 1)
			die("echo");
	if (peer && write(s->fd, strstr(s->verdict, "window") || strstr(s->verdict, "writer") ? "w" : "s", 1) != 1)
		die("ask");
	s->block(s->fd);
	if (peer && !s->lost_by && read(s->fd, &c, 1) < 0)
		perror(s->name);
	for (;;)
		pause();
	return NULL;
}

/* Until the thread sleeps in its call: on a slow machine it may not have got there yet. */
static void wait_asleep(const struct stuck *s)
{
	long want = !strcmp(s->call, "poll") ? SYS_poll : !strcmp(s->call, "accept") ? SYS_accept : SYS_recvfrom, nr;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", s->tid);
	do {
		usleep(50000);
		f = fopen(path, "r");
		if (!f || fscanf(f, "%ld", &nr) != 1)
			nr = -1; /* it runs */
		if (f)
			fclose(f);
	} while (nr != want);
}

static void lose(const struct stuck *s)
{
	wait_asleep(s);

	if (!strcmp(s->lost_by, "close"))
		close(s->fd);
	else if (!strcmp(s->lost_by, "dup2"))
		dup2(bulk_file, s->fd);
	else
		syscall(SYS_close_range, s->fd, s->fd, 0);
}

static void tell(const struct stuck *s)
{
	struct stat st;

	if (fstat(s->fd, &st))
		die("fstat");
	printf("{\"name\":\"%s\",\"tid\":%d,\"call\":\"%s\",\"fd\":%d,\"inode\":%llu,\"timeout_ms\":%ld,\"verdict\":\"%s\",\"lost\":%s}\n",
	       s->name, s->tid, s->call, s->fd, (unsigned long long)st.st_ino, s->timeout_ms, s->verdict, s->lost_by ? "true" : "false");
}

int main(void)
{
	pid_t child = start_server();
	unsigned n = 0;
	pthread_t t;
	char line[16];

	signal(SIGPIPE, SIG_IGN);
	bulk_file = memfd_create("bulk", 0);
	if (bulk_file < 0 || write(bulk_file, bulk, BULK) != BULK)
		die("memfd");
	for (size_t i = 0; i < N_THREADS; i++) {
		threads[i].fd = has(&threads[i]) ? open_one(threads[i].where) : -1;
		n += threads[i].fd >= 0;
	}
	pthread_barrier_init(&started, NULL, n + 1);
	pthread_barrier_init(&planted, NULL, n + 1);
	for (size_t i = 0; i < N_THREADS; i++)
		if (threads[i].fd >= 0 && pthread_create(&t, NULL, run, &threads[i]))
			die("pthread_create");
	pthread_barrier_wait(&started);
	for (size_t i = 0; i < N_THREADS; i++)
		if (threads[i].fd >= 0)
			tell(&threads[i]);
	printf("ready %d\n", getpid());
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	pthread_barrier_wait(&planted);
	for (size_t i = 0; i < N_THREADS; i++)
		if (threads[i].fd >= 0 && threads[i].lost_by)
			lose(&threads[i]);
	if (fgets(line, sizeof(line), stdin))
		kill(child, SIGKILL);
	if (fgets(line, sizeof(line), stdin))
		puts("bye");
	return 0;
}
