#!/usr/bin/env bash
# Brings a cluster of its own up, runs test/e2e against it and takes it down again.
set -uo pipefail
cd "$(dirname "$0")/.."
export CLUSTER=${CLUSTER:-e2e}
(cd build && GOWORK=off go run ./cmd/build binaries helm) || exit 1
bin/cluster up --name="$CLUSTER" --nodes="${NODES:-2}" || exit 1
(cd test/e2e && PILOTIS_ROOT=$PWD/../.. KUBECONFIG=$(../../bin/cluster kubeconfig --name="$CLUSTER") GOWORK=off go test -count=1 -timeout=30m ${E2E_FLAGS:-} ./...)
result=$?
if [ $result -ne 0 ] && [ -n "${KEEP:-}" ]; then
	echo "The cluster is kept: make down CLUSTER=$CLUSTER removes it." >&2
else
	bin/cluster down --name="$CLUSTER" || exit 1
fi
exit $result
