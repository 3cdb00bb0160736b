// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "sock/netlink.h"

static int socket_here(void)
{
	const struct timeval limit = {.tv_sec = 5};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

struct helper {
	int ns, fd;
};

/* setns moves only the thread that calls it. */
static void *socket_there(void *arg)
{
	struct helper *h = arg;

	h->fd = setns(h->ns, CLONE_NEWNET) ? -errno : socket_here();
	return NULL;
}

static bool net_of(pid_t pid, struct stat *st)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	return !stat(path, st);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

bool diag_same_net(pid_t a, pid_t b)
{
	struct stat x, y;

	return net_of(a, &x) && net_of(b, &y) && same_file(&x, &y);
}

bool diag_elsewhere(pid_t pid)
{
	struct stat a, b;

	return net_of(pid, &a) && net_of(getpid(), &b) && !same_file(&a, &b);
}

int diag_open(pid_t pid, struct err *err)
{
	struct helper h;
	pthread_t thread;
	char path[64];
	int rc;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	h.ns = open(path, O_RDONLY | O_CLOEXEC);
	if (h.ns < 0)
		return err_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
	if (!diag_elsewhere(pid)) {
		h.fd = socket_here();
	} else {
		rc = pthread_create(&thread, NULL, socket_there, &h);
		if (rc)
			h.fd = -rc;
		else
			pthread_join(thread, NULL);
	}
	close(h.ns);
	if (h.fd < 0)
		return err_set(err, h.fd, "sock_diag in the network namespace of %d: %s", (int)pid,
			       strerror(-h.fd));
	return h.fd;
}

static int send_request(int fd, bool dump, const void *req, size_t len)
{
	struct {
		struct nlmsghdr h;
		char body[256];
	} msg = {.h = {.nlmsg_type = SOCK_DIAG_BY_FAMILY,
		       .nlmsg_flags = NLM_F_REQUEST | (dump ? NLM_F_DUMP : 0)}};

	if (len > sizeof(msg.body))
		return -EINVAL;
	memcpy(msg.body, req, len);
	msg.h.nlmsg_len = (uint32_t)NLMSG_LENGTH(len);
	if (send(fd, &msg, msg.h.nlmsg_len, 0) < 0)
		return -errno;
	return 0;
}

/* 1: the exchange goes on, 0: it is over. */
static int one_message(const struct nlmsghdr *h, bool dump, diag_sink sink, void *ctx)
{
	struct nlmsgerr e;
	int rc;

	switch (h->nlmsg_type) {
	case NLMSG_DONE:
		if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(rc))) {
			memcpy(&rc, NLMSG_DATA(h), sizeof(rc));
			return rc < 0 ? rc : 0;
		}
		return 0;
	case NLMSG_ERROR:
		if (h->nlmsg_len < NLMSG_LENGTH(sizeof(e)))
			return -EBADMSG;
		memcpy(&e, NLMSG_DATA(h), sizeof(e));
		return e.error < 0 ? e.error : 0;
	case SOCK_DIAG_BY_FAMILY:
		rc = sink(ctx, NLMSG_DATA(h), h->nlmsg_len - NLMSG_LENGTH(0));
		return rc < 0 ? rc : dump;
	}
	return 1;
}

int diag_request(int fd, bool dump, const void *req, size_t len, diag_sink sink, void *ctx)
{
	_Alignas(struct nlmsghdr) char buf[65536];
	int rc = send_request(fd, dump, req, len);

	while (!rc || rc == 1) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_TRUNC);
		const struct nlmsghdr *h = (void *)buf;
		long left; /* signed: the last message's padding may be missing */

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if ((size_t)n > sizeof(buf))
			return -EMSGSIZE;
		if ((size_t)n < sizeof(*h))
			return -EBADMSG;
		left = n;
		for (rc = 1; rc == 1 && NLMSG_OK(h, left); h = NLMSG_NEXT(h, left))
			rc = one_message(h, dump, sink, ctx);
		if (rc != 1)
			return rc;
	}
	return rc;
}
