// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A server that may ask another one before it answers, for chains of them.
 * usage: hops ADDRESS [hold | spin | poll | idle N]...   ADDRESS: a port of 127.0.0.1 (0: any), or the path
 * of a unix socket hold     a thread holds the lock that work needs, and sleeps idle     N threads more,
 * which do nothing Prints its address. Lines of its input: the address of the server to ask. A connection has
 * a thread of its own. Messages of 8 bytes: hello    is answered openN    connects to the other server, and
 * has that one do the same, N deep; then is answered work     takes the lock, asks the other server for the
 * same, and is answered when that has answered. Prints "work TID HOLDER" when it has read it.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LEN 8

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t held;
static char upstream[108];
static int holder_tid;
static bool spin, polls;

static int address(const char *text, struct sockaddr_storage *ret, socklen_t *len)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct sockaddr_un *un = (struct sockaddr_un *)ret;

	memset(ret, 0, sizeof(*ret));
	if (text[0] == '/') {
		un->sun_family = AF_UNIX;
		strncpy(un->sun_path, text, sizeof(un->sun_path) - 1);
		*len = sizeof(*un);
	} else {
		in->sin_family = AF_INET;
		in->sin_port = htons((unsigned short)atoi(text));
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		*len = sizeof(*in);
	}
	return socket(ret->ss_family, SOCK_STREAM, 0);
}

static void ask(int fd, const char *what)
{
	char m[LEN] = "";

	memcpy(m, what, strlen(what));
	if (write(fd, m, LEN) != LEN || read(fd, m, LEN) != LEN)
		err(1, "%s of %s", what, upstream);
}

static int connected(void)
{
	struct sockaddr_storage to;
	socklen_t len;
	int fd = address(upstream, &to, &len);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, len))
		err(1, "connect to %s", upstream);
	ask(fd, "hello");
	return fd;
}

static ssize_t receive(int fd, char m[LEN])
{
	ssize_t n;

	do {
		n = recv(fd, m, LEN, polls ? MSG_DONTWAIT : 0);
	} while (n < 0 && errno == EAGAIN);
	return n;
}

static void *serve(void *arg)
{
	volatile bool again = spin;
	int fd = (int)(long)arg, up = -1;
	char m[LEN], next[LEN];

	while (receive(fd, m) == LEN) {
		if (!strncmp(m, "open", 4) && m[4] > '0') {
			up = up < 0 ? connected() : up;
			snprintf(next, sizeof(next), "open%c", m[4] - 1);
			ask(up, next);
		} else if (!strncmp(m, "work", 4)) {
			printf("work %d %d\n", gettid(), holder_tid);
			fflush(stdout);
			while (again)
				;
			pthread_mutex_lock(&lock);
			if (up >= 0)
				ask(up, "work");
			pthread_mutex_unlock(&lock);
		}
		if (strncmp(m, "note", 4) != 0 && write(fd, m, LEN) != LEN)
			break;
	}
	close(fd);
	return NULL;
}

static void *hold(void *unused)
{
	holder_tid = gettid();
	pthread_mutex_lock(&lock);
	pthread_barrier_wait(&held);
	pause();
	return unused;
}

static void *idle(void *unused)
{
	pause();
	return unused;
}

static void *listen_to(void *listener)
{
	int fd;
	pthread_t t;

	while ((fd = accept(*(int *)listener, NULL, NULL)) >= 0)
		pthread_create(&t, NULL, serve, (void *)(long)fd);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_storage at;
	socklen_t len;
	pthread_t t;
	int listener;

	if (argc < 2)
		errx(2, "usage: hops ADDRESS [hold | spin | poll | idle N]");
	listener = address(argv[1], &at, &len);
	if (listener < 0 || bind(listener, (struct sockaddr *)&at, len) || listen(listener, 5) ||
	    getsockname(listener, (struct sockaddr *)&at, &len))
		err(1, "listen on %s", argv[1]);
	pthread_barrier_init(&held, NULL, 2);
	for (int i = 2; i < argc; i++) {
		spin = spin || !strcmp(argv[i], "spin");
		polls = polls || !strcmp(argv[i], "poll");
		if (!strcmp(argv[i], "hold")) {
			pthread_create(&t, NULL, hold, NULL);
			pthread_barrier_wait(&held);
		}
		for (int n = strcmp(argv[i], "idle") || ++i >= argc ? 0 : atoi(argv[i]); n > 0; n--)
			pthread_create(&t, NULL, idle, NULL);
	}
	if (argv[1][0] == '/')
		printf("%s\n", argv[1]);
	else
		printf("%d\n", ntohs(((struct sockaddr_in *)&at)->sin_port));
	fflush(stdout);
	pthread_create(&t, NULL, listen_to, &listener);
	while (scanf("%107s", upstream) == 1)
		;
	pause();
	return 0;
}
