/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Records from the kernel to the engine. Validates that a record is as long as it says before the sink sees
 * it; a sink cannot stop the stream. What the kernel could not send is read from the object's `lost` map.
 */
#ifndef CULPRIT_TRANSPORT_H
#define CULPRIT_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>

#include "../../bpf/abi/base.h"
#include "util/err.h"

struct transport;
/* rec is valid during the call only; rec->size bytes of it. */
typedef void (*transport_sink)(void *ctx, const struct abi_hdr *rec);

/* One transport may carry several BPF objects; add each object's `events` and `lost` map. -errno and err. */
int transport_create(struct transport **ret, transport_sink sink, void *ctx, struct err *err);
int transport_add(struct transport *t, int events_fd, int lost_fd, struct err *err);
/* An epoll fd that turns readable when records wait. */
int transport_fd(const struct transport *t);
/* Hands all waiting records to the sink, without waiting. -errno only if the ring itself fails. */
int transport_drain(struct transport *t, struct err *err);
/* Records handed on, and malformed ones dropped. */
uint64_t transport_seen(const struct transport *t);
uint64_t transport_malformed(const struct transport *t);
/* Sum over CPUs and objects of one enum abi_lost counter. */
uint64_t transport_lost(const struct transport *t, unsigned what);
void transport_destroy(struct transport *t); /* NULL is fine */

#endif
