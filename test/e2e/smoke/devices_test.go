package smoke

import (
	"strings"
	"testing"
)

// TestDeviceClaimsOfTemplates: a pod's claim is made from the template, named in its status, and goes with it.
func TestDeviceClaimsOfTemplates(t *testing.T) {
	s := newSpace(t)
	s.apply(`
apiVersion: resource.k8s.io/v1
kind: ResourceClaimTemplate
metadata: {name: gpu}
spec:
  metadata: {labels: {team: blue}}
  spec: {devices: {requests: [{name: one, exactly: {deviceClassName: gpus.example.com}}]}}
---
apiVersion: v1
kind: Pod
metadata: {name: user}
spec:
  terminationGracePeriodSeconds: 0
  schedulerName: nobody
  containers: [{name: c, image: IMAGE, resources: {claims: [{name: device}]}}]
  resourceClaims: [{name: device, resourceClaimTemplateName: gpu}]
`)
	s.until("a claim in the pod's status", func() (string, bool) {
		out, err := s.try("get", "pod", "user", "-o", "jsonpath={.status.resourceClaimStatuses[0].resourceClaimName}")
		return out, err == nil && strings.HasPrefix(out, "user-device-")
	})
	claim := s.must("get", "pod", "user", "-o", "jsonpath={.status.resourceClaimStatuses[0].resourceClaimName}")
	if got := s.must("get", "resourceclaim", claim, "-o", "jsonpath={.metadata.labels.team} {.spec.devices.requests[0].exactly.deviceClassName}"); got != "blue gpus.example.com" {
		t.Errorf("the claim is %q", got)
	}
	s.must("delete", "pod", "user")
	s.must("wait", "--for=delete", "resourceclaim/"+claim, "--timeout=60s")
}
