#!/usr/bin/env bash
# Measures the figures of docs/performance.md (test/perf), then runs the benchmarks of every module. BENCH names parts:
# cluster, apiserver, controllers, scheduler, units; all of them take about 6 minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
parts=${BENCH:-cluster apiserver controllers scheduler units}
if [ "${parts/units/}" != "" ]; then
	(cd test/perf && GOWORK=off go build -o ../../bin/perf .)
	# shellcheck disable=SC2086 # a word a part
	bin/perf --root=. ${parts/units/}
fi
case $parts in *units*)
	grep -rl --include='*_test.go' '^func Benchmark' cmd pkg staging build | xargs -n1 dirname | sort -u | while read -r dir; do
		(cd "$dir" && GOWORK=off go test -run '^$' -bench . -benchtime 1s .) || exit 1
	done | grep -E '^(Benchmark|pkg|FAIL)'
	;;
esac
