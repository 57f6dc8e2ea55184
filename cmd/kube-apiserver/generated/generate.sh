#!/usr/bin/env bash
# Regenerates generated/openapi/zz_generated.openapi.go: the OpenAPI definitions of every type kube-apiserver serves.
# The input is the public k8s.io/api module at the version go.mod pins; run it after a version change.
set -euo pipefail
cd "$(dirname "$0")/.."
export GOWORK=off
openapi_version=$(go list -m -f '{{.Version}}' k8s.io/kube-openapi)
tools=${TOOLS_DIR:-$(mktemp -d)}
[ -x "$tools/openapi-gen" ] || GOBIN=$tools go install "k8s.io/kube-openapi/cmd/openapi-gen@$openapi_version"

served=(
  admissionregistration/v1 admissionregistration/v1alpha1 admissionregistration/v1beta1 apidiscovery/v2 apps/v1 authentication/v1 authorization/v1 autoscaling/v1 autoscaling/v2 batch/v1
  apiserverinternal/v1alpha1 certificates/v1 certificates/v1beta1 coordination/v1 coordination/v1alpha2 coordination/v1beta1 core/v1 discovery/v1 events/v1 flowcontrol/v1 lifecycle/v1alpha1 networking/v1 node/v1 policy/v1 rbac/v1
  resource/v1 resource/v1alpha3 resource/v1beta1 resource/v1beta2 scheduling/v1 scheduling/v1alpha3 scheduling/v1beta1 storage/v1
  storagemigration/v1 storagemigration/v1beta1
)
header=$(mktemp)
"$tools/openapi-gen" --go-header-file "$header" --report-filename /dev/null \
  --output-dir generated/openapi --output-pkg pilotis.dev/cmd/kube-apiserver/generated/openapi --output-file zz_generated.openapi.go \
  k8s.io/apimachinery/pkg/{apis/meta/v1,runtime,version,api/resource,util/intstr} \
  "${served[@]/#/k8s.io/api/}" \
  k8s.io/kube-aggregator/pkg/apis/apiregistration/v1 k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1
rm -f "$header"
