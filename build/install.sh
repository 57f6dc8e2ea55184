#!/usr/bin/env bash
# Installs a node's programs, units and images on a host with systemd: install.sh [DESTDIR]. kubeadm init or join comes next.
set -euo pipefail
cd "$(dirname "$0")/.."
root=${1:-}
for dir in bin out/images; do
	[ -d "$dir" ] || { echo "$dir is missing: run make images first" >&2; exit 1; }
done
install -d "$root"/usr/local/bin "$root"/etc/containerd "$root"/etc/systemd/system "$root"/etc/sysctl.d "$root"/etc/modules-load.d "$root"/usr/local/share/pilotis/images
install -m 755 bin/{kubelet,kubeadm,kubectl,containerd,containerd-shim-runc-v2,ctr,runc,etcdctl} "$root"/usr/local/bin/
install -m 644 manifests/systemd/{kubelet,containerd}.service "$root"/etc/systemd/system/
install -m 644 manifests/systemd/99-pilotis.conf "$root"/etc/sysctl.d/99-pilotis.conf
install -m 644 manifests/systemd/modules.conf "$root"/etc/modules-load.d/pilotis.conf
install -m 644 out/images/*.tar "$root"/usr/local/share/pilotis/images/
if [ -e "$root"/etc/containerd/config.toml ]; then
	echo "Kept $root/etc/containerd/config.toml as it was; ours is manifests/systemd/containerd.toml."
else
	install -m 644 manifests/systemd/containerd.toml "$root"/etc/containerd/config.toml
fi
[ -n "$root" ] && exit 0
systemctl daemon-reload
systemctl restart systemd-modules-load systemd-sysctl
systemctl enable --now containerd kubelet
for image in /usr/local/share/pilotis/images/*.tar; do
	ctr -n k8s.io images import --local "$image" >/dev/null
	echo "Imported $(basename "$image" .tar)"
done
echo "Ready for kubeadm init or kubeadm join."
