// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Answers of sock_diag: a datagram of messages, and the bodies in them. */
#include <sys/socket.h>

#include "fuzz.h"
#include "sock/diag.h"
#include "sock/netlink.h"

static struct diag_sock last;
static size_t n;

static int body(void *ctx, const void *p, size_t len)
{
	struct diag_sock s;

	(void)ctx;
	if (!diag_parse_unix(p, len, &s))
		n += diag_accepted_by(&s, &last) + strlen(s.f.local);
	if (!diag_parse_inet(p, len, &s)) {
		n += diag_accepted_by(&s, &last) + strlen(s.f.local) + strlen(s.f.remote);
		last = s;
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd[2];

	body(NULL, data, size);
	if (size > 65536 || !size || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd))
		return 0;
	/* all that will ever come: then the peer is gone, and what is missing is an error */
	if (send(fd[1], data, size, MSG_NOSIGNAL) == (ssize_t)size) {
		shutdown(fd[1], SHUT_WR);
		diag_request(fd[0], size & 1, "", 0, body, NULL);
	}
	close(fd[0]);
	close(fd[1]);
	return 0;
}
