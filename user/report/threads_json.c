// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "report/report.h"
#include "report/sock.h"
#include "report/threads.h"
#include "stalls/call.h"

static json_t *json_fd(const struct fd_facts *d)
{
	json_t *o = json_object();

	json_object_set_new(o, "fd", json_integer(d->fd));
	json_object_set_new(o, "kind", d->open ? json_str(proc_fd_kind_name(d->kind)) : json_str("closed"));
	json_object_set_new(o, "inode", d->inode ? json_integer((json_int_t)d->inode) : json_null());
	json_object_set_new(o, "target", json_str(d->target));
	json_object_set_new(o, "socket", json_sock(&d->sock));
	return o;
}

static json_t *json_wait(const struct autopsy *a, const struct thread_wait *w)
{
	json_t *o = json_fd(&a->fd[w->fd]);

	json_object_set_new(o, "events", json_integer(w->events));
	json_object_set_new(o, "dead", json_boolean(w->dead));
	if (w->dead) {
		json_object_set_new(o, "held_inode",
				    w->held_inode ? json_integer((json_int_t)w->held_inode) : json_null());
		json_object_set_new(o, "held_socket", json_sock(&w->held_sock));
	}
	return o;
}

static json_t *json_waits(const struct autopsy *a, const struct thread_wait *v, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_wait(a, &v[i]));
	return list;
}

json_t *json_epoll(const struct autopsy *a, const struct fd_facts *d)
{
	json_t *o = json_object();

	json_object_set_new(o, "kind", json_str("epoll"));
	json_object_set_new(o, "pid", json_integer(a->pid));
	json_object_set_new(o, "fd", json_integer(d->fd));
	json_object_set_new(o, "members",
			    d->members_read ? json_waits(a, d->member, d->n_members) : json_null());
	return o;
}

static void add_call(json_t *o, const struct thread_facts *t)
{
	json_t *args = json_array();

	for (int i = 0; i < 6; i++)
		json_array_append_new(args, json_hex(t->arg[i]));
	json_object_set_new(o, "syscall", json_str(t->syscall));
	json_object_set_new(o, "class", json_str(call_class_name(t->class)));
	json_object_set_new(o, "args", args);
	json_object_set_new(o, "args_unread", json_boolean(t->args_unread));
	json_object_set_new(o, "timeout_ms", t->timeout_ms == -2 ? json_null() : json_integer(t->timeout_ms));
	json_object_set_new(o, "timeout_is_left", json_boolean(t->timeout_left));
	json_object_set_new(o, "futex", t->class == CALL_FUTEX ? json_hex(t->futex_addr) : json_null());
}

json_t *json_thread(const struct autopsy *a, const struct thread_facts *t)
{
	char state[2] = {t->state, '\0'};
	json_t *o = json_object();

	json_object_set_new(o, "kind", json_str("thread"));
	json_object_set_new(o, "pid", json_integer(a->pid));
	json_object_set_new(o, "tid", json_integer(t->tid));
	json_object_set_new(o, "comm", json_str(t->comm));
	json_object_set_new(o, "state", json_str(state));
	json_object_set_new(o, "blocked_ms",
			    t->blocked_known ? json_integer((json_int_t)(t->blocked_ns / 1000000))
					     : json_null());
	json_object_set_new(o, "switches", json_integer((json_int_t)t->switches));
	json_object_set_new(o, "moved", json_boolean(t->moved));
	if (t->in_call)
		add_call(o, t);
	else
		json_object_set_new(o, "syscall", json_null());
	json_object_set_new(o, "fd", t->fd >= 0 ? json_integer(t->fd) : json_null());
	json_object_set_new(o, "fds", json_waits(a, t->wait, t->n_wait));
	json_set_frames(o, "user_stack", &t->user_stack);
	json_object_set_new(o, "kernel_stack", json_strs(t->kernel_stack, t->n_kernel));
	return o;
}
