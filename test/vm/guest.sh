#!/bin/bash
# Runs inside the virtual machine of run.sh as a unit; lines that start with "== " are its report.
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
say() { echo "== $(cut -d' ' -f1 /proc/uptime)s $*"; }

finish() {
	[ "$1" = 0 ] && echo "== all held" || echo "== FAILED"
	sync
	systemctl poweroff --force --force
}
trap 'finish $?' EXIT
set -e

# until_true SECONDS COMMAND… waits for a command to succeed: long, as an emulated processor is some twenty times slower.
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/tmp/last 2>&1; do
		if [ $SECONDS -ge $end ]; then
			say "still not true: $*"
			cat /tmp/last
			return 1
		fi
		sleep 2
	done
}

pods_run() { ! kubectl get pods -A --no-headers | grep -v ' Running ' && kubectl get pods -A --no-headers | grep -q coredns; }
restarts() { kubectl get pods -A -o jsonpath='{range .items[*]}{.metadata.name}={.status.containerStatuses[0].containerID}{"\n"}{end}' | sort; }
dns() { nslookup_out=$(busybox nslookup -type=a kubernetes.default.svc.cluster.local 10.96.0.10) && grep -q 10.96.0.1 <<<"$nslookup_out"; }

# host: kubeadm init under systemd, a pod's cgroups, restarts of the daemons, reset.
host() {
	[ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] && say "cgroup v2 alone: $(cat /sys/fs/cgroup/cgroup.controllers)"
	ip link add eth0 type dummy && ip addr add 10.50.0.2/24 dev eth0 && ip link set eth0 up && ip route add default via 10.50.0.1
	until_true 1200 ctr --connect-timeout=5s version || { journalctl -u containerd --no-pager | tail -40; return 1; }
	say "containerd $(systemctl is-active containerd), kubelet $(systemctl is-active kubelet)"
	for image in /usr/local/share/pilotis/images/*.tar; do ctr -n k8s.io images import --local "$image" >/dev/null; done
	say "images imported"

	# An emulated processor is some twenty times slower than a real one: a leader's requests outlast the ordinary lease when
	# daemons start beside it, and it would rightly end.
	cat >/root/kubeadm.yaml <<-YAML
		apiVersion: kubeadm.k8s.io/v1beta4
		kind: InitConfiguration
		timeouts: {controlPlaneComponentHealthCheck: 15m}
		---
		apiVersion: kubeadm.k8s.io/v1beta4
		kind: ClusterConfiguration
		networking: {podSubnet: 10.244.0.0/16}
		controllerManager: {extraArgs: [{name: leader-elect-lease-duration, value: 5m}, {name: leader-elect-renew-deadline, value: 4m}]}
		scheduler: {extraArgs: [{name: leader-elect-lease-duration, value: 5m}, {name: leader-elect-renew-deadline, value: 4m}]}
	YAML
	kubeadm init --config=/root/kubeadm.yaml --skip-token-print || { tail -n 25 /var/log/pods/kube-system_*/*/*.log; journalctl -u kubelet --no-pager | tail -20; return 1; }
	say "kubeadm init: done"
	export KUBECONFIG=/etc/kubernetes/admin.conf
	kubectl taint nodes vm node-role.kubernetes.io/control-plane-
	until_true 1200 kubectl wait --for=condition=Ready node/vm --timeout=5s
	until_true 1200 pods_run
	say "node Ready, pods Running"
	until_true 1200 dns
	say "cluster DNS answers on its ClusterIP"

	kubectl run limited --image=pilotis.dev/pause:3.10.1 --overrides='{"spec":{"containers":[{"name":"limited","image":"pilotis.dev/pause:3.10.1","resources":{"limits":{"memory":"64Mi","cpu":"500m"},"requests":{"memory":"32Mi","cpu":"100m"}}}]}}'
	until_true 1200 kubectl wait --for=condition=Ready pod/limited --timeout=5s || { kubectl describe pod limited; kubectl describe node vm; return 1; }
	local uid slice
	uid=$(kubectl get pod limited -o jsonpath='{.metadata.uid}')
	slice=/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${uid//-/_}.slice
	[ "$(cat "$slice/memory.max")" = 67108864 ]
	[ "$(cat "$slice/cpu.max")" = "50000 100000" ]
	ls -d "$slice"/cri-containerd-*.scope >/dev/null
	say "systemd slices hold the pod's limits"

	restarts >/tmp/before
	systemctl restart kubelet && systemctl restart containerd
	sleep 20
	until_true 1200 pods_run
	restarts >/tmp/after
	diff /tmp/before /tmp/after || { tail -n 15 /var/log/pods/kube-system_*/*/0.log; journalctl -u kubelet --no-pager | tail -60; return 1; }
	say "kubelet and containerd restarted: the same containers run"

	kubectl delete pod limited --wait
	[ ! -e "$slice" ]
	kubeadm reset --force
	[ ! -e /etc/kubernetes/manifests/etcd.yaml ] && [ -z "$(ctr -n k8s.io containers ls -q)" ]
	[ "$(systemctl is-active kubelet)" != active ]
	say "kubeadm reset: nothing runs"
	unset KUBECONFIG
	systemctl stop containerd
	rm -rf /var/lib/containerd
	ip link delete eth0
}

# cluster: the namespace nodes of make up on a machine with cgroup v2 alone.
cluster() {
	cd /root/pilotis
	bin/cluster up --name=v2 --nodes=2 --wait=30m || { tail -50 /var/lib/pilotis/v2/nodes/*/kubeadm.log; return 1; }
	export KUBECONFIG=/var/lib/pilotis/v2/admin.conf
	[ "$(kubectl get nodes --no-headers | grep -c ' Ready ')" = 2 ]
	until_true 1200 pods_run
	say "two namespace nodes Ready on cgroup v2"
	bin/cluster down --name=v2
	[ ! -e /sys/fs/cgroup/pilotis ] && [ ! -e /var/lib/pilotis/v2 ]
	say "cluster down: nothing left"
}

for part in $(cat /root/parts); do "$part"; done
