#!/usr/bin/env bash
# Prints what a cluster could leave behind on this machine, a line a thing, so that two runs can be compared: links,
# addresses, routes, network namespaces, mounts, cgroups, nftables rules, the kernel settings that clusters raise,
# processes of this checkout's programs, and the folders of /etc, /run, /var/lib and /var/log. Run as root.
set -uo pipefail
section() { sed "s|^|$1: |"; }
ip -o link | sed -E 's/^[0-9]+: //; s/ (qdisc|state|mode|group|qlen) .*//' | section link
ip -o addr | awk '{print $2, $3, $4}' | section address
ip route show table all | sed -E 's/ (expires|cache|metric) .*//' | section route
ls /run/netns 2>/dev/null | section netns
awk '{print $5, $(NF-2), $(NF-1)}' /proc/self/mountinfo | section mount
find /sys/fs/cgroup -type d -path '*pilotis*' 2>/dev/null | section cgroup
nft list ruleset 2>/dev/null | sed -E 's/packets [0-9]+ bytes [0-9]+//' | section rule
for f in fs/inotify/max_user_instances fs/inotify/max_user_watches net/ipv4/ip_forward net/bridge/bridge-nf-call-iptables vm/overcommit_memory kernel/panic kernel/panic_on_oops; do
	[ -r "/proc/sys/$f" ] && echo "sysctl: $f $(cat "/proc/sys/$f")"
done
for p in /proc/[0-9]*; do # those of containers are told by the cgroups
	exe=$(readlink "$p/exe" 2>/dev/null) && [[ $exe == "$PWD"/bin/* ]] && echo "process: ${p#/proc/} $exe"
done
for d in /etc /run /var/lib /var/log /opt /etc/cni /var/lib/pilotis; do
	find "$d" -mindepth 1 -maxdepth 1 -printf 'file: %p\n' 2>/dev/null
done
