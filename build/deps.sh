#!/usr/bin/env bash
# Installs the Debian packages that builds and nodes need and that are not there yet.
set -euo pipefail
packages=(gcc libc6-dev pkg-config libseccomp-dev nftables iptables conntrack ethtool kmod iproute2 util-linux mount procps busybox-static ca-certificates)
missing=()
for p in "${packages[@]}"; do
	dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
	echo "These packages are missing: ${missing[*]}. Install them, or run make as root." >&2
	exit 1
fi
echo "Installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
