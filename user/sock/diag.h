/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One sock_diag answer as a value. Pure: no sockets are opened here. */
#ifndef CULPRIT_SOCK_DIAG_H
#define CULPRIT_SOCK_DIAG_H

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <linux/unix_diag.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "report/finding.h"

struct diag_sock {
	struct sock_facts f;
	int family; /* of the socket, also when f.family says AF_INET for a v4-mapped address */
	bool listening, v6only;
	struct inet_diag_sockid id; /* TCP: addresses and cookie, to ask again */
	uint32_t cookie[2];	    /* AF_UNIX */
};

/* body of one SOCK_DIAG_BY_FAMILY message (after struct nlmsghdr). -EBADMSG: shorter than it must be. */
int diag_parse_inet(const void *body, size_t len, struct diag_sock *out);
int diag_parse_unix(const void *body, size_t len, struct diag_sock *out);
/*
 * Fills ages, windows and counters from the kernel's struct tcp_info, of which only the first len bytes are
 * there: it grew at its end since 4.18.
 */
void diag_tcp_info(struct sock_facts *f, const void *info, size_t len);
/* "10.0.0.1:80", "[::1]:80"; v4-mapped addresses as v4. port in network order; port 0 is "*". */
void diag_addr(char *buf, size_t len, int family, const uint32_t addr[4], uint16_t port);
/* Of a connection's two addresses as text, to look it up by. */
uint64_t diag_ends_hash(const char *local, const char *remote);
/* Whether s, not listening itself, is the server's end of a connection to the listening socket l. */
bool diag_accepted_by(const struct diag_sock *s, const struct diag_sock *l);

#endif
