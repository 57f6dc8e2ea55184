#!/usr/bin/env bash
# Runs the fuzz targets of the modules named, one after the other; FUZZTIME, such as 30m or 90s, is shared out among them. What
# breaks one is kept by Go in testdata/fuzz beside it: commit that with the mend.
set -uo pipefail
cd "$(dirname "$0")/.."
case "${FUZZTIME:=30m}" in
*[0-9]m) seconds=$((${FUZZTIME%m} * 60)) ;;
*[0-9]s) seconds=${FUZZTIME%s} ;;
*)
	echo "FUZZTIME is $FUZZTIME: give minutes or seconds, such as 30m or 90s" >&2
	exit 1
	;;
esac
(cd build && GOWORK=off go run ./cmd/build binaries etcd) || exit 1
export GOWORK=off
targets=()
for m in "$@"; do
	while IFS=: read -r file name; do
		targets+=("$m $(dirname "${file#"$m"/}") $name")
	done < <(grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9]+' "$m" | sed 's/:func /:/')
done
each=$((seconds / ${#targets[@]}))
if [ "$each" -lt 1 ]; then
	echo "FUZZTIME is $FUZZTIME: less than a second for each of ${#targets[@]} targets" >&2
	exit 1
fi
echo "${#targets[@]} targets, ${each} s each"
failed=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# at_its_end tells whether a target failed only by the end of its time, as Go 1.26 has it now and then (go.dev/issue/75804).
at_its_end() {
	! grep -qE 'Failing input written|panic:' "$1" && [ "$(grep -A1 '^--- FAIL' "$1" | tail -1)" = "    context deadline exceeded" ] &&
		echo "its time ended in the middle of an input, which Go calls a failure"
}

for t in "${targets[@]}"; do
	read -r module package name <<<"$t"
	echo "== $module/$package $name"
	# What is new is made smaller a few times only: a server's coverage is never quite the same twice.
	(cd "$module" && go test -run='^$' -fuzz="^$name\$" -fuzztime="${each}s" -fuzzminimizetime=10x -parallel=1 "./$package" 2>&1 |
		grep -vE '^[IWE][0-9]{4} |etcd-client|gathering baseline' | tee "$log") || at_its_end "$log" || failed+=("$name")
done
if [ ${#failed[@]} -gt 0 ]; then
	echo "Fuzzing broke: ${failed[*]}" >&2
	exit 1
fi
