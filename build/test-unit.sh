#!/usr/bin/env bash
# Runs the unit tests of the modules named. Each module is built by its own go.mod, as outsiders would.
set -uo pipefail
cd "$(dirname "$0")/.."
# Tests of the API server and its clients start a real etcd.
(cd build && GOWORK=off go run ./cmd/build binaries etcd) || exit 1
export PATH="$PWD/bin:$PATH" GOWORK=off
failed=()
for m in "$@"; do
	echo "== $m"
	(cd "$m" && go test ./...) || failed+=("$m")
done
if [ ${#failed[@]} -gt 0 ]; then
	echo "Unit tests failed in: ${failed[*]}" >&2
	exit 1
fi
