#!/usr/bin/env bash
# Brings a cluster of its own up, runs test/e2e (E2E_PACKAGES, E2E_FLAGS for go test, E2E_ARGS for the tests) against it, takes it down and proves that nothing of it is left.
set -uo pipefail
cd "$(dirname "$0")/.."
export CLUSTER=${CLUSTER:-e2e-$$}
(cd build && GOWORK=off go run ./cmd/build binaries helm sample-apiserver && GOWORK=off go run ./cmd/build images sample-apiserver) || exit 1
before=$(build/machine-state.sh | sort)
bin/cluster up --name="$CLUSTER" --nodes="${NODES:-2}" || exit 1
(cd test/e2e && PILOTIS_ROOT=$PWD/../.. KUBECONFIG=$(../../bin/cluster kubeconfig --name="$CLUSTER") GOWORK=off \
	go test -count=1 -p=1 -parallel=8 -timeout=30m ${E2E_FLAGS:-} ${E2E_PACKAGES:-./...} -args ${E2E_ARGS:-})
result=$?
if [ $result -ne 0 ] && [ -n "${KEEP:-}" ]; then
	echo "The cluster is kept: make down CLUSTER=$CLUSTER removes it." >&2
	exit $result
fi
bin/cluster down --name="$CLUSTER" || exit 1
left=$(diff <(echo "$before") <(build/machine-state.sh | sort) | grep '^[<>]')
if [ -n "$left" ]; then
	printf 'make down did not leave the machine as it was (< before, > after):\n%s\n' "$left" >&2
	exit 1
fi
echo "The machine is as it was before make up."
exit $result
