// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A server whose worker has read a request and waits for a lock, whose holder waits for something in turn.
 * usage: chains cycle | pause | upstream PORT | disk FILE | written | read | told
 * written: a read/write lock whose writer sleeps; read: one that a reader has, who sleeps; told: a condition
 * that nobody ever signals Prints its port. When the request is there, prints the threads: worker, holder,
 * last (0 = none).
 */
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t held;
static const char *mode, *arg;
static int worker_tid, holder_tid, last_tid;

static int tcp(struct sockaddr_in *to, unsigned port)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*to = (struct sockaddr_in){.sin_family = AF_INET,
				   .sin_port = htons((unsigned short)port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (fd < 0)
		err(1, "socket");
	return fd;
}

static void ask_upstream(void)
{
	struct sockaddr_in to;
	int fd = tcp(&to, (unsigned)atoi(arg));
	char answer[16];

	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) || write(fd, "silent\n", 7) != 7)
		err(1, "upstream");
	if (read(fd, answer, sizeof(answer)) < 0)
		err(1, "read");
}

static void write_file(void)
{
	int fd = open(arg, O_WRONLY | O_CREAT, 0600);

	if (fd < 0 || write(fd, "x", 1) != 1)
		err(1, "%s", arg);
}

/* Holds a; waits for b (cycle: the worker's, pause: the last thread's), the upstream or the disk. */
static void *holder(void *unused)
{
	holder_tid = gettid();
	pthread_mutex_lock(&a);
	if (!strcmp(mode, "written"))
		pthread_rwlock_wrlock(&rw);
	if (!strcmp(mode, "read"))
		pthread_rwlock_rdlock(&rw);
	pthread_barrier_wait(&held);
	if (!strcmp(mode, "written") || !strcmp(mode, "read") || !strcmp(mode, "told"))
		pause();
	else if (!strcmp(mode, "upstream"))
		ask_upstream();
	else if (!strcmp(mode, "disk"))
		write_file();
	else
		pthread_mutex_lock(&b);
	return unused;
}

static void *last(void *unused)
{
	last_tid = gettid();
	pthread_mutex_lock(&b);
	pthread_barrier_wait(&held);
	pause();
	return unused;
}

static void *worker(void *listener)
{
	int fd = accept(*(int *)listener, NULL, NULL);
	char request[64];
	ssize_t n;

	worker_tid = gettid();
	/* one that is answered, so that the connection is known to be of questions and answers */
	while ((n = read(fd, request, sizeof(request))) > 0 && strncmp(request, "hello", 5) == 0)
		if (write(fd, request, (size_t)n) != n)
			err(1, "write");
	if (!strcmp(mode, "cycle"))
		pthread_mutex_lock(&b);
	pthread_barrier_wait(&held);
	printf("%d %d %d\n", worker_tid, holder_tid, last_tid);
	fflush(stdout);
	usleep(100000);
	if (!strcmp(mode, "written"))
		pthread_rwlock_rdlock(&rw);
	else if (!strcmp(mode, "read"))
		pthread_rwlock_wrlock(&rw);
	else if (!strcmp(mode, "told"))
		pthread_cond_wait(&cond, &b);
	else
		pthread_mutex_lock(&a);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in at;
	socklen_t len = sizeof(at);
	pthread_t t[3];
	int listener;

	if (argc < 2)
		errx(2, "usage: chains cycle | pause | upstream PORT | disk FILE | written | read | told");
	mode = argv[1];
	arg = argc > 2 ? argv[2] : "";
	listener = tcp(&at, 0);
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 5) ||
	    getsockname(listener, (struct sockaddr *)&at, &len))
		err(1, "listen");
	printf("%d\n", ntohs(at.sin_port));
	fflush(stdout);
	pthread_barrier_init(&held, NULL, strcmp(mode, "pause") ? 2 : 3);
	pthread_create(&t[0], NULL, worker, &listener);
	pthread_create(&t[1], NULL, holder, NULL);
	if (!strcmp(mode, "pause"))
		pthread_create(&t[2], NULL, last, NULL);
	pthread_join(t[0], NULL);
	return 0;
}
