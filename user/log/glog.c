// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "log/glog.h"

#define DAY_NS (86400ULL * 1000000000)

/* Exactly n digits, or up to n if less is allowed; moves on. */
static bool digits(const char **p, const char *end, unsigned least, unsigned most, int64_t *out)
{
	unsigned n = 0;

	*out = 0;
	for (; *p < end && n < most && isdigit((unsigned char)**p); n++)
		*out = *out * 10 + *(*p)++ - '0';
	return n >= least;
}

static bool one(const char **p, const char *end, char what)
{
	if (*p == end || **p != what)
		return false;
	(*p)++;
	return true;
}

static uint64_t local_ns(struct tm tm, int64_t us)
{
	time_t t;

	tm.tm_isdst = -1;
	t = mktime(&tm);
	return t < 0 ? 0 : (uint64_t)t * 1000000000 + (uint64_t)us * 1000;
}

/* "0917" or "20230917", then "05:25:17.037914" */
static bool take_time(const char **p, const char *end, uint64_t now_ns, uint64_t *out)
{
	const char *from = *p;
	int64_t date, hour, min, sec, us;
	time_t now = (time_t)(now_ns / 1000000000);
	struct tm tm;
	bool year;

	localtime_r(&now, &tm);
	if (!digits(p, end, 4, 8, &date) || (*p - from != 4 && *p - from != 8))
		return false;
	year = *p - from == 8;
	if (!one(p, end, ' ') || !digits(p, end, 2, 2, &hour) || !one(p, end, ':') ||
	    !digits(p, end, 2, 2, &min) || !one(p, end, ':') || !digits(p, end, 2, 2, &sec) ||
	    !one(p, end, '.') || !digits(p, end, 6, 6, &us))
		return false;
	if (year)
		tm.tm_year = (int)(date / 10000) - 1900;
	tm.tm_mon = (int)(date / 100 % 100) - 1;
	tm.tm_mday = (int)(date % 100);
	tm.tm_hour = (int)hour;
	tm.tm_min = (int)min;
	tm.tm_sec = (int)sec;
	if (tm.tm_mon < 0 || tm.tm_mon > 11 || tm.tm_mday < 1 || tm.tm_mday > 31 || hour > 23 || min > 59 ||
	    sec > 60)
		return false;
	*out = local_ns(tm, us);
	/* December's lines, read in January */
	if (!year && *out > now_ns + DAY_NS) {
		tm.tm_year--;
		*out = local_ns(tm, us);
	}
	return *out != 0;
}

/* What does not print becomes a dot: it goes to a terminal. */
static void append(char *to, size_t size, const char *s, size_t n)
{
	size_t at = strlen(to);

	for (size_t i = 0; i < n && at + 1 < size; i++)
		to[at++] = (unsigned char)s[i] < 0x20 || s[i] == 0x7f ? (s[i] == '\t' ? ' ' : '.') : s[i];
	to[at] = '\0';
}

bool glog_parse(const char *line, size_t len, uint64_t now_ns, struct log_rec *out)
{
	const char *p = line, *end = line + len, *close;
	int64_t tid;

	memset(out, 0, sizeof(*out));
	if (!len || !strchr("IWEF", *p) || !*p)
		return false;
	out->severity = *p++;
	if (!take_time(&p, end, now_ns, &out->real_ns) || !one(&p, end, ' '))
		return false;
	while (p < end && *p == ' ')
		p++;
	if (!digits(&p, end, 1, 9, &tid) || !one(&p, end, ' '))
		return false;
	out->tid = (pid_t)tid;
	close = memchr(p, ']', (size_t)(end - p));
	if (!close || !memchr(p, ':', (size_t)(close - p)))
		return false;
	append(out->where, sizeof(out->where), p, (size_t)(close - p));
	p = close + 1;
	if (p < end && *p == ' ')
		p++;
	append(out->text, sizeof(out->text), p, (size_t)(end - p));
	return true;
}

void glog_continue(struct log_rec *r, const char *line, size_t len)
{
	append(r->text, sizeof(r->text), " | ", 3);
	append(r->text, sizeof(r->text), line, len);
}

bool glog_is_timeout(const struct log_rec *r, char *method, size_t len)
{
	static const char calling[] = "when calling: ";
	const char *at = strstr(r->text, "ETimedOut"), *name;
	size_t n = 0;

	method[0] = '\0';
	if (!at)
		return false;
	name = strstr(at, calling);
	if (!name)
		return true;
	name += sizeof(calling) - 1;
	while (isalnum((unsigned char)name[n]) || name[n] == '_' || name[n] == '.')
		n++;
	while (n && name[n - 1] == '.')
		n--;
	if (n && n < len) {
		memcpy(method, name, n);
		method[n] = '\0';
	}
	return true;
}
