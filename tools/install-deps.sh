#!/bin/bash
# Installs what building, testing and the demo need on Debian 12 or 13. Quiet and quick when nothing is missing.
# usage: tools/install-deps.sh [build|test|vm|bench|arm64]   (test, the default, includes what only the tests use; vm, what `make vmtest` uses;
# bench, what `make bench` compares with; arm64, what `make ARCH=aarch64` builds and tests with, beside what tools/aarch64-sysroot fetches)
set -euo pipefail

build=(gcc g++ make clang llvm libbpf-dev bpftool libelf-dev libdw-dev zlib1g-dev libjansson-dev libcapstone-dev
	libiberty-dev libnghttp2-dev libsqlite3-dev libcap-dev uthash-dev pkg-config binutils liblzma-dev libbz2-dev libzstd-dev
	libdeflate-dev)
target=(libprotobuf-dev protobuf-compiler)
# programs that tests stall, and what they are held against; the tests start them by themselves, as private instances
real=(mariadb-server-core mariadb-client-core redis-server redis-tools postgresql nginx-light wrk lsof nftables python3-grpcio
	python3-protobuf)
tests=("${real[@]}" libtcmalloc-minimal4 libjemalloc2 libgprofng0 libgprofng0-dbg libcmocka-dev python3 python3-pytest gdb strace iproute2
	xz-utils groff-base clang-format clang-tidy
	libclang-rt-dev)
bench=(python3 gdb bpftrace linux-perf strace redis-tools libbpf-tools bpfcc-tools)
arm64=(gcc-aarch64-linux-gnu g++-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user qemu-system-arm)
vm=(qemu-system-x86 busybox-static cpio xz-utils zstd python3)
# Debian 12 has libbpf 1.1; multi-uprobes need 1.3, so these come from its backports, and elfutils (with the part gdb uses) along.
from_backports=(libbpf-dev bpftool libelf-dev libdw-dev libdebuginfod1)

want=("${build[@]}" "${target[@]}")
case "${1:-test}" in
build) ;;
vm) want+=("${vm[@]}") ;;
bench) want+=("${bench[@]}") ;;
arm64) want+=("${arm64[@]}") ;;
*) want+=("${tests[@]}") ;;
esac

missing=()
for p in "${want[@]}"; do
	dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing+=("$p")
done
libbpf_ok() {
	dpkg --compare-versions "$(dpkg-query -W -f '${Version}' libbpf-dev 2>/dev/null || echo 0)" ge 1:1.4
}
if [ ${#missing[@]} -eq 0 ] && libbpf_ok; then
	exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "install-deps: missing: ${missing[*]:-libbpf-dev >= 1.4}" >&2
	echo "install-deps: run 'sudo make deps' (or sudo tools/install-deps.sh)" >&2
	exit 1
fi

export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -y -q -o Dpkg::Use-Pty=0 --no-install-recommends)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
run() {
	"$@" >"$log" 2>&1 || { cat "$log" >&2; echo "install-deps: failed: $*" >&2; exit 1; }
}

# Services among the packages are neither started when installed nor at boot. What was there before stays as it was.
services=()
for p in "${missing[@]}"; do
	case "$p" in
	redis-server) services+=(redis-server) ;;
	postgresql) services+=(postgresql) ;;
	nginx-light) services+=(nginx) ;;
	nftables) services+=(nftables) ;;
	esac
done
policy=/usr/sbin/policy-rc.d
if [ ${#services[@]} -gt 0 ] && [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	trap 'rm -f "$log" "$policy"' EXIT
fi

. /etc/os-release
echo "install-deps: installing ${missing[*]:-a newer libbpf}" >&2
run apt-get -q update
if [ "${VERSION_CODENAME:-}" = bookworm ]; then
	# the mirror that the system already uses, whichever it is
	mirror=$(apt-get indextargets --format '$(ORIGIN)|$(CODENAME)|$(REPO_URI)' 'Created-By: Packages' |
		awk -F'|' '$1 == "Debian" && $2 == "bookworm" { print $3; exit }')
	if ! apt-get indextargets --format '$(CODENAME)' | grep -qx bookworm-backports; then
		[ -n "$mirror" ] || { echo "install-deps: no Debian mirror in the apt sources" >&2; exit 1; }
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm-backports main" \
			>/etc/apt/sources.list.d/culprit-backports.list
		run apt-get -q update
	fi
	run "${apt[@]}" install -t bookworm-backports "${from_backports[@]}"
fi
run "${apt[@]}" install "${want[@]}"
for s in "${services[@]}"; do
	if command -v systemctl >/dev/null; then
		systemctl --quiet disable "$s" >/dev/null 2>&1 || echo "install-deps: $s.service could not be disabled" >&2
	fi
done
libbpf_ok || { echo "install-deps: libbpf-dev is older than 1.4" >&2; exit 1; }
