/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A socket's facts as text and as JSON: the "socket" object of docs/json.md. */
#ifndef CULPRIT_REPORT_SOCK_H
#define CULPRIT_REPORT_SOCK_H

#include <jansson.h>
#include <stdio.h>

#include "report/finding.h"

/* null if !s->known; keys that do not apply or are not known are null. */
json_t *json_sock(const struct sock_facts *s);
/* "10.0.0.1:5 -> 10.0.0.2:80 ESTABLISHED", with what is queued or unacknowledged; into buf, returns buf. */
const char *text_sock(const struct sock_facts *s, char *buf, size_t len);
/* The rest on one line: sent, acknowledged, received, ages, timer. */
void text_sock_detail(FILE *f, const struct sock_facts *s);

#endif
