// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stalls/rpc.h"
#include "util/grow.h"

int rpc_names_add(struct rpc_names *n, bool handler, const char *name, const char *method)
{
	struct rpc_func **list = handler ? &n->handler : &n->channel;
	size_t *count = handler ? &n->n_handler : &n->n_channel;
	struct rpc_func *v;

	if (GROW(list, *count))
		return -ENOMEM;
	v = *list;
	v[*count] = (struct rpc_func){.name = strdup(name), .method = method ? strdup(method) : NULL};
	(*count)++;
	return v[*count - 1].name && (!method || v[*count - 1].method) ? 0 : -ENOMEM;
}

int rpc_names_add_code(struct rpc_names *n, bool handler, const char *name, const char *module,
		       uint64_t begin, uint64_t end)
{
	int rc = rpc_names_add(n, handler, name, NULL);
	struct rpc_func *f;

	if (rc)
		return rc;
	f = handler ? &n->handler[n->n_handler - 1] : &n->channel[n->n_channel - 1];
	f->module = strdup(module);
	f->begin = begin;
	f->end = end;
	return f->module ? 0 : -ENOMEM;
}

static void funcs_free(struct rpc_func *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(v[i].name);
		free(v[i].method);
		free(v[i].module);
	}
	free(v);
}

void rpc_names_deinit(struct rpc_names *n)
{
	funcs_free(n->channel, n->n_channel);
	funcs_free(n->handler, n->n_handler);
	*n = (struct rpc_names){0};
}

/* Length of a symbol without its parameter list. */
static size_t bare_len(const char *symbol)
{
	size_t n = 0, depth = 0;

	for (; symbol[n]; n++) {
		if (symbol[n] == '<')
			depth++;
		else if (symbol[n] == '>' && depth)
			depth--;
		else if (symbol[n] == '(' && !depth && strncmp(symbol + n, "(anonymous", 10) != 0)
			break;
	}
	return n;
}

static bool is_in(const struct rpc_func *f, const struct frame *at)
{
	return at->offset >= f->begin && at->offset < f->end && at->module && !strcmp(at->module, f->module);
}

static const struct rpc_func *match(const struct rpc_func *list, size_t n, const struct frame *at)
{
	size_t len = at->symbol ? bare_len(at->symbol) : 0;
	char bare[512];

	if (len >= sizeof(bare))
		len = 0;
	memcpy(bare, at->symbol ? at->symbol : "", len);
	bare[len] = '\0';
	for (size_t i = 0; i < n; i++) {
		const struct rpc_func *f = &list[i];

		if (f->module		   ? is_in(f, at)
		    : !len		   ? false
		    : strchr(f->name, '*') ? !fnmatch(f->name, bare, 0)
					   : !strcmp(f->name, bare))
			return f;
	}
	return NULL;
}

bool rpc_stub_method(const char *symbol, char *buf, size_t len)
{
	size_t n = bare_len(symbol), out = 0;
	const char *stub = strstr(symbol, "_Stub::");

	/* SCOPE::SERVICE_Stub::METHOD: nothing more may follow, no template, and not the stub's own
	 * constructors */
	if (!stub || stub == symbol || stub + 7 >= symbol + n ||
	    memchr(stub + 7, ':', (size_t)(symbol + n - stub - 7)) || stub[7] == '~' ||
	    memchr(symbol, '<', n) || memchr(symbol, ' ', n))
		return false;
	for (size_t i = 0; i < n && out + 1 < len; i++) {
		if (symbol + i == stub)
			i += 5; /* "_Stub" */
		if (symbol[i] == ':') {
			buf[out++] = '.';
			i++;
		} else {
			buf[out++] = symbol[i];
		}
	}
	buf[out] = '\0';
	/* X_Stub::X_Stub is a constructor */
	return strcmp(strrchr(buf, '.') + 1, "") != 0 && strstr(stub + 7, "_Stub") == NULL;
}

static bool ends_with(const char *symbol, const char *tail)
{
	size_t n = bare_len(symbol), t = strlen(tail);

	return n >= t && !strncmp(symbol + n - t, tail, t);
}

/* glibc's names of one function differ by version and by whether debuginfo is there: __GI___NAME, ___NAME,
 * NAME@@GLIBC_2.2.5. */
static size_t glibc_name(const char **symbol)
{
	size_t n = bare_len(*symbol), len;

	if (!strncmp(*symbol, "__GI_", 5)) {
		*symbol += 5;
		n -= 5;
	}
	while (n && **symbol == '_') {
		(*symbol)++;
		n--;
	}
	len = strcspn(*symbol, "@");
	return len < n ? len : n;
}

static bool is_one_of(const char *s, size_t len, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(names[i]) == len && !strncmp(s, names[i], len))
			return true;
	return false;
}

#define IS_ONE_OF(s, len, names) is_one_of(s, len, names, sizeof(names) / sizeof((names)[0]))

/*
 * glibc's slow paths: of a mutex the word that the futex call waits on is the mutex itself. Other C libraries
 * have functions of the same names, which wait for other words.
 */
static enum rpc_lock lock_of(const struct frame *f)
{
	static const char *const mutex[] = {"lll_lock_wait", "lll_mutex_lock_optimized", "pthread_mutex_lock",
					    "pthread_mutex_lock_full", "pthread_mutex_cond_lock"};
	static const char *const rw[] = {"pthread_rwlock_rdlock",	 "pthread_rwlock_wrlock",
					 "pthread_rwlock_timedrdlock",	 "pthread_rwlock_timedwrlock",
					 "pthread_rwlock_clockrdlock",	 "pthread_rwlock_clockwrlock",
					 "pthread_rwlock_rdlock_full",	 "pthread_rwlock_wrlock_full",
					 "pthread_rwlock_rdlock_full64", "pthread_rwlock_wrlock_full64"};
	static const char *const cond[] = {"pthread_cond_wait", "pthread_cond_timedwait",
					   "pthread_cond_clockwait", "pthread_cond_wait_common"};
	const char *s = f->symbol;
	size_t len = glibc_name(&s);

	if (f->module && strstr(f->module, "musl"))
		return RPC_LOCK_NONE;
	return IS_ONE_OF(s, len, mutex)	 ? RPC_LOCK_MUTEX
	       : IS_ONE_OF(s, len, rw)	 ? RPC_LOCK_RW
	       : IS_ONE_OF(s, len, cond) ? RPC_LOCK_COND
					 : RPC_LOCK_NONE;
}

/* Is this frame a client's or a server's? */
static enum rpc_side side_of(const struct rpc_names *names, const struct frame *at,
			     char method[RPC_METHOD_LEN])
{
	const struct rpc_func *f;

	if (match(names->channel, names->n_channel, at))
		return RPC_SIDE_CLIENT;
	if (at->symbol && rpc_stub_method(at->symbol, method, RPC_METHOD_LEN))
		return RPC_SIDE_CLIENT;
	f = match(names->handler, names->n_handler, at);
	if (f && f->method)
		snprintf(method, RPC_METHOD_LEN, "%s", f->method);
	return f ? RPC_SIDE_SERVER : RPC_SIDE_NONE;
}

void rpc_read_stack(const struct rpc_names *names, const struct frames *st, struct rpc_stack *out)
{
	*out = (struct rpc_stack){0};
	for (size_t i = 0; i < st->n; i++) {
		const struct frame *at = &st->v[i];

		if (i < 4 && at->symbol && !out->lock)
			out->lock = lock_of(at);
		if (out->side == RPC_SIDE_NONE) {
			out->side = side_of(names, at, out->method);
			out->frame = out->side == RPC_SIDE_NONE ? 0 : i;
			out->call_method = out->side != RPC_SIDE_NONE && at->symbol &&
					   ends_with(at->symbol, "::CallMethod");
			continue;
		}
		/* a channel is called by the stub right outside of it, if any: that one has the method's name
		 */
		if (at->symbol && (out->side == RPC_SIDE_SERVER || out->method[0] ||
				   match(names->handler, names->n_handler, at) ||
				   rpc_stub_method(at->symbol, out->method, sizeof(out->method))))
			break;
	}
}
