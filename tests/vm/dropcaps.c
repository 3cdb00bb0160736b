// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Runs a program as root with some capabilities only, as container engines do. usage: dropcaps NAME,NAME,...
 * PROGRAM [ARG...] */
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* in the order of their numbers (linux/capability.h) */
static const char *const names[] = {
	"chown",
	"dac_override",
	"dac_read_search",
	"fowner",
	"fsetid",
	"kill",
	"setgid",
	"setuid",
	"setpcap",
	"linux_immutable",
	"net_bind_service",
	"net_broadcast",
	"net_admin",
	"net_raw",
	"ipc_lock",
	"ipc_owner",
	"sys_module",
	"sys_rawio",
	"sys_chroot",
	"sys_ptrace",
	"sys_pacct",
	"sys_admin",
	"sys_boot",
	"sys_nice",
	"sys_resource",
	"sys_time",
	"sys_tty_config",
	"mknod",
	"lease",
	"audit_write",
	"audit_control",
	"setfcap",
	"mac_override",
	"mac_admin",
	"syslog",
	"wake_alarm",
	"block_suspend",
	"audit_read",
	"perfmon",
	"bpf",
	"checkpoint_restore",
};

#define N_NAMES (sizeof(names) / sizeof(names[0]))

static int keep_of(char *list, uint64_t *keep)
{
	*keep = 0;
	for (char *save, *word = strtok_r(list, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		size_t i = 0;

		while (i < N_NAMES && strcmp(names[i], word) != 0)
			i++;
		if (i == N_NAMES) {
			fprintf(stderr, "dropcaps: no capability '%s'\n", word);
			return -1;
		}
		*keep |= 1ull << i;
	}
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t keep;

	if (argc < 3 || keep_of(argv[1], &keep)) {
		fprintf(stderr, "usage: dropcaps NAME,NAME,... PROGRAM [ARG...]\n");
		return 2;
	}
	/* what is not in the bounding set is gone with the next exec; kernels know fewer or more of them */
	for (size_t i = 0; i < 64; i++)
		if (!(keep >> i & 1) && prctl(PR_CAPBSET_READ, i) == 1 && prctl(PR_CAPBSET_DROP, i)) {
			perror("dropcaps");
			return 2;
		}
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}
