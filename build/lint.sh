#!/usr/bin/env bash
# gofmt, go vet and golangci-lint over the modules named; go.mod and go.work must agree.
set -uo pipefail
cd "$(dirname "$0")/.."
status=0
unformatted=$(git ls-files '*.go' | grep -v zz_generated | xargs gofmt -l)
if [ -n "$unformatted" ]; then
	echo "gofmt these files:"; echo "$unformatted"; status=1
fi
for m in "$@"; do
	(cd "$m" && GOWORK=off go vet ./...) || status=1
done
if command -v golangci-lint >/dev/null; then
	for m in "$@"; do
		(cd "$m" && GOWORK=off golangci-lint run --config "$OLDPWD/.golangci.yaml" ./...) || status=1
	done
fi
exit $status
