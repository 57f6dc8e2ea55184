#!/usr/bin/env bash
# Regenerates validation/zz_generated from the tags of k8s.io/api. validation-gen must read one package of apimachinery as
# input, so it is given a writable copy by a workspace of its own; nothing is written to the module cache.
set -euo pipefail
cd "$(dirname "$0")/.."
export GOWORK=off
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
GOBIN="$work/bin" go install k8s.io/code-generator/cmd/validation-gen@v0.37.2
cp -r "$(go list -m -f '{{.Dir}}' k8s.io/apimachinery)" "$work/apimachinery"
chmod -R u+w "$work/apimachinery"
printf 'go 1.26.0\n\nuse %s\n\nreplace k8s.io/apimachinery => %s\n' "$PWD" "$work/apimachinery" >"$work/go.work"
: >"$work/header.txt"
readonly_packages=()
for p in k8s.io/apimachinery/pkg/{apis/meta/v1,api/resource,runtime,runtime/schema,types,util/intstr} time k8s.io/api/core/v1; do
	readonly_packages+=(--readonly-pkg "$p")
done
GOWORK="$work/go.work" "$work/bin/validation-gen" --go-header-file "$work/header.txt" --output-file zz_generated.validations.go \
	"${readonly_packages[@]}" k8s.io/apimachinery/pkg/apis/meta/v1/validation ./validation/zz_generated/...
