package smoke

import (
	"strings"
	"testing"
)

const byHand = `
apiVersion: v1
kind: Pod
metadata: {name: server}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: IMAGE
    command: [sh, -c, "mkdir -p /tmp/www; echo here > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www"]
    readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: IMAGE, command: [sleep, "100000"]}]
---
apiVersion: v1
kind: Service
metadata: {name: outside}
spec: {ports: [{name: http, port: 80, targetPort: 8080}]}
`

// TestEndpointsByHand: a Service without a selector leads to the addresses that a user keeps in Endpoints.
func TestEndpointsByHand(t *testing.T) {
	s := newSpace(t)
	s.apply(byHand)
	s.must("wait", "--for=condition=Ready", "pod/server", "pod/client", "--timeout=90s")
	ip := s.must("get", "pod", "server", "-o", "jsonpath={.status.podIP}")
	s.apply(strings.ReplaceAll(`
apiVersion: v1
kind: Endpoints
metadata: {name: outside, labels: {team: blue}}
subsets: [{addresses: [{ip: IP}], ports: [{name: http, port: 8080}]}]
`, "IP", ip))
	s.eventually("blue "+ip, "get", "endpointslices", "-l", "kubernetes.io/service-name=outside,endpointslice.kubernetes.io/managed-by=endpointslicemirroring-controller.k8s.io",
		"-o", "jsonpath={.items[0].metadata.labels.team} {.items[0].endpoints[*].addresses[0]}")
	s.eventually("here", "exec", "client", "--", "wget", "-qO-", "http://outside")
	s.must("delete", "endpoints", "outside")
	s.eventually("", "get", "endpointslices", "-l", "kubernetes.io/service-name=outside", "-o", "name")
}

// TestServiceRangesComeAndGo: addresses come from a range that was added; it stays while one is in use.
func TestServiceRangesComeAndGo(t *testing.T) {
	s := newSpace(t)
	s.apply(`
apiVersion: networking.k8s.io/v1
kind: ServiceCIDR
metadata: {name: smoke}
spec: {cidrs: [10.203.7.0/28]}
`)
	t.Cleanup(func() { _, _ = s.try("delete", "servicecidr", "smoke", "--wait=false") })
	s.must("wait", "--for=condition=Ready", "servicecidr/smoke", "--timeout=30s")
	s.apply(`
apiVersion: v1
kind: Service
metadata: {name: there}
spec: {clusterIP: 10.203.7.9, ports: [{port: 80}]}
`)
	s.must("delete", "servicecidr", "smoke", "--wait=false")
	s.eventually("False Terminating", "get", "servicecidr", "smoke", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].reason}`)
	s.must("delete", "service", "there")
	s.must("wait", "--for=delete", "servicecidr/smoke", "--timeout=60s")
}

// TestPolicyIsChecked: an expression that names a field which Deployments do not have is a warning in the policy's status.
func TestPolicyIsChecked(t *testing.T) {
	s := newSpace(t)
	s.apply(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: smoke-checked}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}]}
  validations: [{expression: "object.spec.replicsa > 1"}]
`)
	t.Cleanup(func() { _, _ = s.try("delete", "validatingadmissionpolicy", "smoke-checked") })
	s.until("a warning about the field", func() (string, bool) {
		out, err := s.try("get", "validatingadmissionpolicy", "smoke-checked", "-o", "jsonpath={.status.typeChecking.expressionWarnings[0].fieldRef} {.status.typeChecking.expressionWarnings[0].warning}")
		return out, err == nil && strings.HasPrefix(out, "spec.validations[0].expression ") && strings.Contains(out, "undefined field 'replicsa'")
	})
}
