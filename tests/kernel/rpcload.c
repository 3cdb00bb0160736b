// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * RPC at full speed over many connections from many threads: a client, and its server as a child that echoes. Frames as those of
 * the test daemon (tests/target/rpc/wire.h). Prints "ready CLIENT SERVER"; each line on stdin is a number of milliseconds to call
 * for, then, if not all, how many threads call, then "poll" if they wait by poll() for each answer; it is answered by the number
 * of calls done, all of which are answered. usage: rpcload THREADS CONNECTIONS
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

struct frame {
	char magic[4];
	uint16_t version, type;
	uint32_t length, error;
	uint64_t id, method;
};

#define REQUEST	 1
#define RESPONSE 2
#define METHOD	 0x1122334455667788ULL

static int *client;
static unsigned n_threads, n_conns, active;
static bool polls;
static pthread_barrier_t go, done;
static uint64_t until_ns, *calls;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int listen_here(struct sockaddr_in *addr)
{
	socklen_t len = sizeof(*addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	*addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	if (listener < 0 || bind(listener, (struct sockaddr *)addr, len) || listen(listener, 1000) ||
	    getsockname(listener, (struct sockaddr *)addr, &len))
		die("listen");
	return listener;
}

static void connect_all(const struct sockaddr_in *addr)
{
	int on = 1;

	for (unsigned i = 0; i < n_conns; i++) {
		client[i] = socket(AF_INET, SOCK_STREAM, 0);
		if (client[i] < 0 || connect(client[i], (const struct sockaddr *)addr, sizeof(*addr)))
			die("connect");
		setsockopt(client[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	}
}

/* Takes new connections, and echoes on the others. */
static void serve(int listener)
{
	struct epoll_event e[256] = {{.events = EPOLLIN, .data.fd = listener}};
	int ep = epoll_create1(0), on = 1;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (epoll_ctl(ep, EPOLL_CTL_ADD, listener, e))
		die("epoll_ctl");
	for (;;) {
		int n = epoll_wait(ep, e, 256, -1);

		for (int i = 0; i < n; i++) {
			struct frame f;
			int fd = e[i].data.fd;

			if (fd == listener) {
				struct epoll_event add = {.events = EPOLLIN, .data.fd = accept(listener, NULL, NULL)};

				if (add.data.fd < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, add.data.fd, &add))
					die("accept");
				setsockopt(add.data.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
				continue;
			}
			if (recv(fd, &f, sizeof(f), MSG_WAITALL) != sizeof(f))
				exit(0);
			f.type = RESPONSE;
			if (send(fd, &f, sizeof(f), MSG_NOSIGNAL) != sizeof(f))
				exit(0);
		}
	}
}

static void call(int fd, uint64_t id)
{
	struct frame f = {.magic = "ZBSR", .version = 1, .type = REQUEST, .id = id, .method = METHOD};
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (send(fd, &f, sizeof(f), MSG_NOSIGNAL) != sizeof(f) || (polls && poll(&p, 1, 60000) != 1) ||
	    recv(fd, &f, sizeof(f), MSG_WAITALL) != sizeof(f) || f.type != RESPONSE)
		die("call");
}

static void *caller(void *arg)
{
	uintptr_t me = (uintptr_t)arg;

	for (;;) {
		pthread_barrier_wait(&go);
		for (unsigned i = (unsigned)me; me < active && now_ns() < until_ns; i = (i + n_threads) % n_conns)
			call(client[i], ++calls[me]);
		pthread_barrier_wait(&done);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr;
	struct rlimit files;
	pthread_attr_t attr;
	int listener;
	pthread_t thread;
	char line[64];
	pid_t child;

	n_threads = argc > 2 ? (unsigned)atoi(argv[1]) : 0;
	n_conns = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
	if (!n_threads || n_conns % n_threads) {
		fprintf(stderr, "usage: rpcload THREADS CONNECTIONS (a multiple of it)\n");
		return 2;
	}
	client = calloc(n_conns, sizeof(*client));
	calls = calloc(n_threads, sizeof(*calls));
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	listener = listen_here(&addr);
	child = fork();
	if (child < 0)
		die("fork");
	if (!child)
		serve(listener);
	close(listener);
	connect_all(&addr);
	pthread_barrier_init(&go, NULL, n_threads + 1);
	pthread_barrier_init(&done, NULL, n_threads + 1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (uintptr_t i = 0; i < n_threads; i++)
		if (pthread_create(&thread, &attr, caller, (void *)i))
			die("pthread_create");
	printf("ready %d %d\n", (int)getpid(), (int)child);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		uint64_t before = 0, after = 0;
		unsigned ms = 0;
		char how[8] = "";

		active = n_threads;
		if (sscanf(line, "%u %u %7s", &ms, &active, how) < 1)
			break;
		polls = !strcmp(how, "poll");
		for (unsigned i = 0; i < n_threads; i++)
			before += calls[i];
		until_ns = now_ns() + ms * 1000000ULL;
		pthread_barrier_wait(&go);
		pthread_barrier_wait(&done);
		for (unsigned i = 0; i < n_threads; i++)
			after += calls[i];
		printf("%llu\n", (unsigned long long)(after - before));
		fflush(stdout);
	}
	kill(child, SIGKILL);
	return 0;
}
