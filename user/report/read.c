// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "report/read_priv.h"

#define MS_MAX (INT64_MAX / 1000000)

/* Of UTF-8: a byte of C0, DEL, or one of the two of C1. */
static bool is_control(const unsigned char *s)
{
	return s[0] < 0x20 || s[0] == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0);
}

/* Strings are cut to their bytes before the first NUL, as everybody reads them. */
void report_clean(json_t *v)
{
	const char *key;
	json_t *part;
	void *next;
	size_t i;

	if (json_is_object(v)) {
		json_object_foreach_safe(v, next, key, part) report_clean(part);
	} else if (json_is_array(v)) {
		json_array_foreach(v, i, part) report_clean(part);
	} else if (json_is_string(v)) {
		const char *s = json_string_value(v);
		size_t n = strlen(s), out = 0;
		char *copy = malloc(n + 1);

		for (i = 0; copy && i < n; i++) {
			bool control = is_control((const unsigned char *)s + i);

			i += control && s[i] == '\xc2';
			copy[out++] = control ? '?' : s[i];
		}
		if (copy)
			json_string_setn(v, copy, out);
		free(copy);
	}
}

struct reader read_part(const struct reader *r, const json_t *v)
{
	return (struct reader){.v = v, .clock = r->clock, .err = r->err};
}

void reader_join(struct reader *r, const struct reader *part)
{
	if (!r->rc)
		r->rc = part->rc;
}

/* The value, NULL if there is none or an error came before. */
static const json_t *value(struct reader *r, const char *key)
{
	const json_t *v = r->rc ? NULL : json_object_get(r->v, key);

	return json_is_null(v) ? NULL : v;
}

static void bad(struct reader *r, const char *key, const char *what)
{
	r->rc = err_set(r->err, -EINVAL, "'%s' is no %s", key, what);
}

static void no_memory(struct reader *r)
{
	r->rc = err_set(r->err, -ENOMEM, "out of memory");
}

const json_t *read_object(struct reader *r, const char *key)
{
	const json_t *v = value(r, key);

	if (v && !json_is_object(v)) {
		bad(r, key, "object");
		return NULL;
	}
	return v;
}

const json_t *read_array(struct reader *r, const char *key)
{
	const json_t *v = value(r, key);

	if (v && !json_is_array(v)) {
		bad(r, key, "array");
		return NULL;
	}
	return v;
}

const char *read_ref(struct reader *r, const char *key)
{
	const json_t *v = value(r, key);

	if (v && !json_is_string(v)) {
		bad(r, key, "text");
		return NULL;
	}
	return json_string_value(v);
}

void read_str(struct reader *r, const char *key, char **ret)
{
	const char *s = read_ref(r, key);

	if (s && !(*ret = strdup(s)))
		no_memory(r);
}

void read_into(struct reader *r, const char *key, char *buf, size_t len)
{
	const char *s = read_ref(r, key);

	if (s)
		snprintf(buf, len, "%s", s);
}

void read_bool(struct reader *r, const char *key, bool *ret)
{
	const json_t *v = value(r, key);

	if (v && !json_is_boolean(v))
		bad(r, key, "boolean");
	else if (v)
		*ret = json_is_true(v);
}

void read_i64(struct reader *r, const char *key, int64_t min, int64_t max, int64_t *ret)
{
	const json_t *v = value(r, key);

	if (!v)
		return;
	if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
		bad(r, key, "number in its range");
	else
		*ret = json_integer_value(v);
}

void read_int(struct reader *r, const char *key, int min, int max, int *ret)
{
	int64_t n = *ret;

	read_i64(r, key, min, max, &n);
	*ret = (int)n;
}

void read_u32(struct reader *r, const char *key, uint32_t *ret)
{
	int64_t n = *ret;

	read_i64(r, key, 0, UINT32_MAX, &n);
	*ret = (uint32_t)n;
}

/* Counters that did not fit came out negative: the same bits. */
void read_u64(struct reader *r, const char *key, uint64_t *ret)
{
	int64_t n = (int64_t)*ret;

	read_i64(r, key, INT64_MIN, INT64_MAX, &n);
	*ret = (uint64_t)n;
}

void read_hex(struct reader *r, const char *key, uint64_t *ret)
{
	const char *s = read_ref(r, key);
	char *end;

	if (!s)
		return;
	errno = 0;
	*ret = strtoull(s, &end, 16);
	if (errno || strncmp(s, "0x", 2) != 0 || !s[2] || *end)
		bad(r, key, "number 0x..");
}

void read_real(struct reader *r, const char *key, double *ret)
{
	const json_t *v = value(r, key);

	if (v && (!json_is_number(v) || !isfinite(json_number_value(v))))
		bad(r, key, "number");
	else if (v)
		*ret = json_number_value(v);
}

void read_ms(struct reader *r, const char *key, uint64_t *ns)
{
	double ms = -1;

	read_real(r, key, &ms);
	if (r->rc || !value(r, key))
		return;
	if (ms < 0 || ms > (double)MS_MAX)
		bad(r, key, "time in milliseconds");
	else
		*ns = (uint64_t)(ms * 1e6);
}

int report_time(const json_t *v, const char *key, const struct report_clock *c, uint64_t *ns, struct err *err)
{
	struct reader r = {.v = v, .clock = c, .err = err};

	*ns = 0;
	read_time(&r, key, ns);
	return r.rc;
}

void read_time(struct reader *r, const char *key, uint64_t *ns)
{
	const char *s = read_ref(r, key), *rest;
	struct tm tm = {0};
	unsigned us;
	char z, over;
	time_t sec;

	if (!s)
		return;
	rest = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!rest || sscanf(rest, ".%6u%c%c", &us, &z, &over) != 2 || z != 'Z' || tm.tm_year < 70 ||
	    tm.tm_year > 400) {
		bad(r, key, "time");
		return;
	}
	sec = timegm(&tm);
	*ns = (uint64_t)sec * 1000000000 + (uint64_t)us * 1000 - r->clock->real_ns + r->clock->mono_ns;
}

void *read_room(struct reader *r, size_t n, size_t size)
{
	void *v = n && !r->rc ? calloc(n, size) : NULL;

	if (n && !r->rc && !v)
		no_memory(r);
	return v;
}

static void read_frame(struct reader *r, struct frame *f)
{
	read_str(r, "module", &f->module);
	read_str(r, "build_id", &f->build_id);
	read_hex(r, "offset", &f->offset);
	read_hex(r, "addr", &f->addr);
	read_str(r, "symbol", &f->symbol);
	read_str(r, "file", &f->file);
	read_int(r, "line", 0, INT32_MAX, &f->line);
	read_bool(r, "inlined", &f->inlined);
}

void read_frames(struct reader *r, const char *key, struct frames *ret)
{
	const json_t *a = read_array(r, key);
	size_t n = json_array_size(a);
	char truncated[64];

	ret->v = read_room(r, n, sizeof(*ret->v));
	for (size_t i = 0; ret->v && i < n && !r->rc; i++) {
		struct reader one = read_part(r, json_array_get(a, i));

		ret->n = i + 1;
		read_frame(&one, &ret->v[i]);
		reader_join(r, &one);
	}
	snprintf(truncated, sizeof(truncated), "%s_truncated", key);
	read_bool(r, truncated, &ret->truncated);
}

void read_strs(struct reader *r, const char *key, char ***ret, size_t *n)
{
	const json_t *a = read_array(r, key);
	size_t max = json_array_size(a);

	*ret = read_room(r, max, sizeof(**ret));
	for (size_t i = 0; *ret && i < max; i++) {
		const char *s = json_string_value(json_array_get(a, i));

		if (!s) {
			bad(r, key, "array of text");
			return;
		}
		(*ret)[i] = strdup(s);
		if (!(*ret)[i]) {
			no_memory(r);
			return;
		}
		*n = i + 1;
	}
}

int frames_from_json(const json_t *v, const char *key, struct frames *ret, struct err *err)
{
	struct reader r = {.v = v, .err = err};

	*ret = (struct frames){0};
	read_frames(&r, key, ret);
	return r.rc;
}

void read_touch_of(struct reader *of, struct touch *ret)
{
	read_time(of, "time", &ret->ts_ns);
	read_int(of, "tid", 0, INT32_MAX, &ret->tid);
	read_into(of, "comm", ret->comm, sizeof(ret->comm));
	read_str(of, "function", &ret->function);
}

void read_touch(struct reader *r, const char *key, struct touch *ret)
{
	const json_t *v = read_object(r, key);
	struct reader of = read_part(r, v);

	if (!v)
		return;
	read_touch_of(&of, ret);
	reader_join(r, &of);
}

void read_name(struct reader *r, const char *key, const char *(*name)(unsigned), unsigned *ret)
{
	const char *s = read_ref(r, key);

	for (unsigned i = 0; s && strcmp(name(i), "?") != 0; i++) {
		if (!strcmp(name(i), s)) {
			*ret = i;
			return;
		}
	}
	if (!r->rc)
		r->rc = err_set(r->err, -EINVAL, "'%s' is %s, which this version does not know", key,
				s ? s : "missing");
}

static void counters(struct reader *r, struct summary *s)
{
	const json_t *v = read_object(r, "counters");
	const char *name;
	json_t *n;

	json_object_foreach((json_t *)v, name, n)
	{
		if (!json_is_integer(n)) {
			bad(r, "counters", "object of numbers");
			break;
		}
		summary_count(s, name, (uint64_t)json_integer_value(n));
	}
}

static void notes(struct reader *r, struct summary *s)
{
	char **v = NULL;
	size_t n = 0;

	read_strs(r, "notes", &v, &n);
	for (size_t i = 0; i < n; i++) {
		if (s->n_notes < SUMMARY_MAX_NOTES)
			s->note[s->n_notes++] = v[i];
		else
			free(v[i]);
	}
	free(v);
}

int summary_from_json(const json_t *v, struct summary *ret, struct err *err)
{
	struct reader r = {.v = v, .err = err}, probes, events, cost;
	int threads = 0, n[3] = {0};

	*ret = (struct summary){.bpf_cpu_pct = -1};
	ret->command = read_ref(&r, "command");
	read_bool(&r, "complete", &ret->complete);
	read_real(&r, "duration_s", &ret->duration_s);
	ret->ended = read_ref(&r, "ended");
	read_u64(&r, "findings", &ret->findings);
	read_int(&r, "threads", 0, INT32_MAX, &threads);
	probes = read_part(&r, read_object(&r, "probes"));
	read_int(&probes, "planned", 0, INT32_MAX, &n[0]);
	read_int(&probes, "attached", 0, INT32_MAX, &n[1]);
	read_int(&probes, "failed", 0, INT32_MAX, &n[2]);
	events = read_part(&r, read_object(&r, "events"));
	read_u64(&events, "seen", &ret->events_seen);
	read_u64(&events, "lost", &ret->events_lost);
	cost = read_part(&r, read_object(&r, "overhead"));
	read_real(&cost, "own_cpu_pct", &ret->own_cpu_pct);
	read_real(&cost, "bpf_cpu_pct", &ret->bpf_cpu_pct);
	read_u64(&cost, "rss_kib", &ret->rss_kib);
	counters(&r, ret);
	notes(&r, ret);
	reader_join(&r, &probes);
	reader_join(&r, &events);
	reader_join(&r, &cost);
	ret->threads = (unsigned)threads;
	ret->probes_planned = (unsigned)n[0];
	ret->probes_attached = (unsigned)n[1];
	ret->probes_failed = (unsigned)n[2];
	return r.rc;
}
