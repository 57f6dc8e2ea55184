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

const onDevice = `
apiVersion: resource.k8s.io/v1
kind: DeviceTaintRule
metadata: {name: SPACE}
spec:
  deviceSelector: {driver: SPACE.example.com, device: gpu-0}
  taint: {key: example.com/broken, value: "yes", effect: EFFECT}
---
apiVersion: resource.k8s.io/v1
kind: ResourceClaim
metadata: {name: gpu}
spec: {devices: {requests: [{name: one, exactly: {deviceClassName: gpus.example.com}}]}}
---
apiVersion: v1
kind: Pod
metadata: {name: user}
spec:
  terminationGracePeriodSeconds: 0
  schedulerName: nobody
  containers: [{name: c, image: IMAGE, resources: {claims: [{name: device}]}}]
  resourceClaims: [{name: device, resourceClaimName: gpu}]
`

// TestTaintedDeviceEvicts: a rule tells first what it would do, then evicts the pod of the device; the claim is free afterwards. The
// test allocates in the scheduler's place.
func TestTaintedDeviceEvicts(t *testing.T) {
	s := newSpace(t)
	rule := func(effect string) { s.apply(strings.NewReplacer("SPACE", s.name, "EFFECT", effect).Replace(onDevice)) }
	rule("None")
	t.Cleanup(func() { _, _ = s.try("delete", "devicetaintrule", s.name) })
	uid := s.must("get", "pod", "user", "-o", "jsonpath={.metadata.uid}")
	s.must("patch", "resourceclaim", "gpu", "--type=merge", "-p", `{"metadata":{"finalizers":["resource.kubernetes.io/delete-protection"]}}`)
	s.must("patch", "resourceclaim", "gpu", "--subresource=status", "--type=merge", "-p", `{"status":{"allocation":{"devices":{"results":[{"request":"one","driver":"`+s.name+`.example.com","pool":"p","device":"gpu-0"}]}},
		"reservedFor":[{"resource":"pods","name":"user","uid":"`+uid+`"}]}}`)
	s.eventually("False NoEffect", "get", "devicetaintrule", s.name, "-o", "jsonpath={.status.conditions[0].status} {.status.conditions[0].reason}")
	s.must("get", "pod", "user")
	s.must("patch", "devicetaintrule", s.name, "--type=merge", "-p", `{"spec":{"taint":{"effect":"NoExecute"}}}`)
	s.must("wait", "--for=delete", "pod/user", "--timeout=60s")
	s.eventually("False Completed 1 pod evicted since starting the controller.", "get", "devicetaintrule", s.name, "-o", "jsonpath={.status.conditions[0].status} {.status.conditions[0].reason} {.status.conditions[0].message}")
	s.eventually("/", "get", "resourceclaim", "gpu", "-o", "jsonpath={.status.allocation}/{.metadata.finalizers}")
}
