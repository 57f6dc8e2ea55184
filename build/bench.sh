#!/usr/bin/env bash
# Measures the figures of docs/performance.md (test/perf), then runs the benchmarks of every module. BENCH names parts:
# cluster, apiserver, controllers, scheduler, units; all of them take about 7 minutes. AGAINST names a commit, whose programs are
# built under out/ and measured in turn with these, ROUNDS times each: cluster and units are left out then.
set -euo pipefail
cd "$(dirname "$0")/.."
against=${AGAINST:-}
if [ -n "$against" ]; then
	parts=${BENCH:-apiserver controllers scheduler}
	case " $parts " in *" cluster "* | *" units "*)
		echo "AGAINST compares apiserver, controllers and scheduler; BENCH is $parts" >&2
		exit 1
		;;
	esac
else
	parts=${BENCH:-cluster apiserver controllers scheduler units}
fi

# programs_of builds what perf needs of a commit, in a worktree of its own, and prints its folder.
programs_of() {
	local commit tree
	if ! commit=$(git rev-parse --quiet --verify --short=12 "$1^{commit}"); then
		echo "AGAINST is $1: give a commit that git knows here" >&2
		return 1
	fi
	tree=out/against-$commit
	[ -d "$tree" ] || git worktree add --quiet --force --detach "$tree" "$commit" >&2 || return 1
	(cd "$tree/build" && GOWORK=off go run ./cmd/build binaries etcd kubeadm kube-apiserver kube-controller-manager kube-scheduler) >&2 || return 1
	echo "$tree"
}

if [ "${parts/units/}" != "" ]; then
	(cd test/perf && GOWORK=off go build -o ../../bin/perf .)
	flags=(--root=. --rounds="${ROUNDS:-1}")
	if [ -n "$against" ]; then
		tree=$(programs_of "$against")
		flags+=(--against="$tree")
	fi
	# shellcheck disable=SC2086 # a word a part
	bin/perf "${flags[@]}" ${parts/units/}
fi
case $parts in *units*)
	grep -rl --include='*_test.go' '^func Benchmark' cmd pkg staging build | xargs -n1 dirname | sort -u | while read -r dir; do
		(cd "$dir" && GOWORK=off go test -run '^$' -bench . -benchtime 1s .) || exit 1
	done | grep -E '^(Benchmark|pkg|FAIL)'
	;;
esac
