// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include "util/hash.h"

#include "stalls/fds.h"
#include "util/grow.h"

struct slot {
	int fd;
	size_t index;
	UT_hash_handle hh;
};

struct fds {
	const struct autopsy_ops *ops;
	struct fd_facts *v;
	size_t n;
	struct slot *by_fd;
};

int fds_create(struct fds **ret, const struct autopsy_ops *ops)
{
	struct fds *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->ops = ops;
	*ret = f;
	return 0;
}

struct fd_facts *fds_at(struct fds *f, size_t index)
{
	return &f->v[index];
}

static void look_up(struct fds *f, struct fd_facts *d)
{
	struct proc_fd p;

	if (f->ops->fd_read(f->ops->ctx, d->fd, &p))
		return;
	d->open = true;
	d->kind = p.kind;
	d->inode = p.inode;
	d->target = p.target;
	if (d->kind == PROC_FD_SOCKET)
		f->ops->sock(f->ops->ctx, d->inode, &d->sock);
}

int fds_index(struct fds *f, int fd, size_t *ret)
{
	struct slot *s;

	HASH_FIND_INT(f->by_fd, &fd, s);
	if (s) {
		*ret = s->index;
		return 0;
	}
	if (GROW(&f->v, f->n))
		return -ENOMEM;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->fd = fd;
	s->index = f->n++;
	HASH_ADD_INT(f->by_fd, fd, s);
	f->v[s->index] = (struct fd_facts){.fd = fd};
	look_up(f, &f->v[s->index]);
	*ret = s->index;
	return 0;
}

/* Whether the set's member and the number's file are surely two different files. */
static bool differs(const struct fd_facts *d, const struct proc_epoll_member *m)
{
	if (!m->inode)
		return false;
	return !d->open || ((d->kind == PROC_FD_SOCKET || d->kind == PROC_FD_PIPE) && d->inode != m->inode);
}

/*
 * The set and the number were read one after the other, and the program goes on meanwhile: a difference
 * counts only if both are the same when read again.
 */
static bool still_differs(struct fds *f, int epfd, const struct fd_facts *d,
			  const struct proc_epoll_member *m)
{
	struct proc_epoll again = {0};
	struct proc_fd p = {0};
	bool open, same = false;

	open = !f->ops->fd_read(f->ops->ctx, d->fd, &p);
	if (open == d->open && (!open || p.inode == d->inode) &&
	    !f->ops->epoll_read(f->ops->ctx, epfd, &again)) {
		for (size_t i = 0; i < again.n; i++)
			same |= again.v[i].fd == m->fd && again.v[i].inode == m->inode;
	}
	proc_epoll_deinit(&again);
	if (open)
		proc_fd_deinit(&p);
	return same;
}

static int resolve(struct fds *f, size_t at)
{
	int epfd = f->v[at].fd, err = 0;
	struct proc_epoll set = {0};
	struct thread_wait *w;
	size_t n = 0;

	f->v[at].members_read = !f->ops->epoll_read(f->ops->ctx, epfd, &set);
	if (!f->v[at].members_read || !set.n) {
		proc_epoll_deinit(&set);
		return 0;
	}
	w = calloc(set.n, sizeof(*w));
	if (!w)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < set.n; i++) {
		const struct fd_facts *d;

		err = fds_index(f, set.v[i].fd, &w[i].fd);
		if (err)
			break;
		d = &f->v[w[i].fd];
		w[i].events = set.v[i].events;
		w[i].dead = differs(d, &set.v[i]) && still_differs(f, epfd, d, &set.v[i]);
		if (w[i].dead) {
			w[i].held_inode = set.v[i].inode;
			f->ops->sock(f->ops->ctx, w[i].held_inode, &w[i].held_sock);
		}
		n = i + 1;
	}
	f->v[at].member = w;
	f->v[at].n_members = n;
	proc_epoll_deinit(&set);
	return err;
}

int fds_resolve_epolls(struct fds *f)
{
	int err = 0;

	for (size_t i = 0; !err && i < f->n; i++) { /* f->n grows by what is found */
		if (f->v[i].open && f->v[i].kind == PROC_FD_EPOLL && !f->v[i].members_read)
			err = resolve(f, i);
	}
	return err;
}

void fds_finish(struct fds *f, struct fd_facts **v, size_t *n)
{
	struct slot *s = f->by_fd;

	HASH_CLEAR(hh, f->by_fd); /* frees the table, not its entries */
	while (s) {
		struct slot *next = s->hh.next;

		free(s);
		s = next;
	}
	*v = f->v;
	*n = f->n;
	free(f);
}

void fd_facts_free(struct fd_facts *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(v[i].target);
		free(v[i].member);
	}
	free(v);
}
