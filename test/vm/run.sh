#!/usr/bin/env bash
# Boots a virtual machine with Debian 12, systemd and pure cgroup v2, and in it tries what namespaces cannot show: kubeadm on an
# ordinary host (guest.sh host), and a cluster of `make up` on a v2 machine (guest.sh cluster). The machine has no network card.
# Emulated (qemu -accel tcg) it takes some twenty minutes; usage: run.sh [host] [cluster]. Needs what `make images` leaves.
set -euo pipefail
cd "$(dirname "$0")/../.."
parts=("${@:-host}")
state=${VM_STATE:-/var/lib/pilotis-vm}
mkdir -p "$state"

for tool in debootstrap qemu-system-x86_64 mke2fs; do
	command -v "$tool" >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap qemu-system-x86 e2fsprogs >/dev/null; break; }
done

if [ ! -e "$state/base/sbin/init" ]; then
	echo "Making a Debian root"
	rm -rf "$state/base"
	packages=systemd-sysv,dbus,udev,initramfs-tools,linux-image-cloud-amd64,nftables,iptables,conntrack,ethtool,iproute2,kmod,procps,util-linux,mount,busybox-static,ca-certificates,libseccomp2
	debootstrap --variant=minbase --include="$packages" bookworm "$state/base" >"$state/debootstrap.log"
fi

echo "Making the disk"
root=$state/root
rm -rf "$root" "$state/disk.img" "$state/console.log"
cp -a "$state/base" "$root"
build/install.sh "$root"
mkdir -p "$root/root/pilotis/out"
cp -a bin "$root/root/pilotis/" && cp -a out/images "$root/root/pilotis/out/"
install -m 755 test/vm/guest.sh "$root/root/guest.sh"
echo "${parts[*]}" >"$root/root/parts"
echo vm >"$root/etc/hostname"
printf '127.0.0.1 localhost\n10.50.0.2 vm\n' >"$root/etc/hosts"
: >"$root/etc/resolv.conf"
echo '/dev/vda / ext4 defaults 0 1' >"$root/etc/fstab"
cat >"$root/etc/systemd/system/guest.service" <<'UNIT'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/root/guest.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
TimeoutStartSec=infinity
[Install]
WantedBy=default.target
UNIT
# A login prompt would hang the guest's report up when it opens the line (vhangup(2)).
ln -s /dev/null "$root/etc/systemd/system/serial-getty@ttyS0.service"
for unit in guest kubelet containerd; do
	ln -sf "/etc/systemd/system/$unit.service" "$root/etc/systemd/system/multi-user.target.wants/$unit.service"
done
truncate -s 16G "$state/disk.img"
mke2fs -q -t ext4 -d "$root" "$state/disk.img"

echo "Booting"
# The guest's exit code is the last line that it prints.
timeout "${VM_TIMEOUT:-3600}" qemu-system-x86_64 -accel tcg,thread=multi,tb-size=512 -smp 2 -m 4096 -cpu max -nic none -display none -no-reboot \
	-serial "file:$state/console.log" -drive "file=$state/disk.img,format=raw,if=virtio,cache=unsafe" \
	-kernel "$root"/boot/vmlinuz-* -initrd "$root"/boot/initrd.img-* \
	-append "root=/dev/vda rw console=ttyS0 quiet systemd.unified_cgroup_hierarchy=1 systemd.show_status=false" &
qemu=$!
tail -n +1 -F "$state/console.log" --pid=$qemu 2>/dev/null | grep --line-buffered '^== ' || true
wait $qemu || { echo "The machine did not power itself off; see $state/console.log" >&2; exit 1; }
if ! grep -q '^== all held' "$state/console.log"; then
	echo "Not everything held; see $state/console.log" >&2
	exit 1
fi
