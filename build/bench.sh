#!/usr/bin/env bash
# Measures the figures of docs/performance.md on a cluster of its own, then runs the benchmarks of every module.
set -euo pipefail
cd "$(dirname "$0")/.."
name=bench
trap 'bin/cluster down --name=$name >/dev/null' EXIT
bin/cluster up --name=$name --nodes="${NODES:-2}"
echo "Idle memory after a minute:"
for _ in $(seq 60); do sleep 1; done
total=0
for daemon in kube-apiserver kube-controller-manager kube-scheduler etcd kubelet kube-proxy; do
	kb=$(bin/cluster shell --name=$name --node=control-plane -- sh -c "for p in /proc/[0-9]*; do read -r cmd < \$p/comm || continue; [ \"\$cmd\" = \"$(echo $daemon | cut -c1-15)\" ] && sed -n 's/VmRSS:[^0-9]*\([0-9]*\).*/\1/p' \$p/status; done | head -1")
	printf '  %-26s %6d MB\n' "$daemon" $((kb / 1024))
	case $daemon in kube-apiserver|kube-controller-manager|kube-scheduler) total=$((total + kb));; esac
done
printf '  %-26s %6d MB (goal 400)\n' "the first three" $((total / 1024))
for m in staging/api cmd/kube-scheduler cmd/kube-proxy cmd/kube-apiserver; do
	(cd "$m" && GOWORK=off go test -run '^$' -bench . -benchtime 1s ./... 2>&1 | grep -E '^Benchmark|FAIL' || true)
done
