#!/usr/bin/env bash
# gofmt, go vet (a linter of golangci-lint) and the short list of .golangci.yaml over the modules named; then what
# must agree: build/drift.sh. Each module is read by its own go.mod, as outsiders would.
set -uo pipefail
cd "$(dirname "$0")/.."
(cd build && GOWORK=off go run ./cmd/build binaries golangci-lint) || exit 1
root=$PWD failed=()
unformatted=$(git ls-files '*.go' | grep -v zz_generated | xargs gofmt -l)
if [ -n "$unformatted" ]; then
	echo "gofmt -w is due for:"; echo "$unformatted"
	failed+=(gofmt)
fi
for m in "$@"; do
	echo "== $m"
	(cd "$m" && GOWORK=off "$root/bin/golangci-lint" run --config="$root/.golangci.yaml" --timeout=30m --allow-serial-runners ./...) || failed+=("$m")
done
build/drift.sh "$@" || failed+=(drift)
if [ ${#failed[@]} -gt 0 ]; then
	echo "Lint failed in: ${failed[*]}" >&2
	exit 1
fi
