package smoke

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCloud: with the in-memory cloud, nodes get their instance's identity and a LoadBalancer Service an address that pods reach;
// another type gives the address back.
func TestCloud(t *testing.T) {
	s := newSpace(t)
	manifest, err := os.ReadFile(filepath.Join(root(), "manifests/addons/cloud-controller-manager.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	system := space{t, "kube-system"}
	system.apply(string(manifest))
	t.Cleanup(func() { _, _ = system.tryWith(string(manifest), "delete", "--wait", "-f", "-") })
	system.must("rollout", "status", "deployment/cloud-controller-manager", "--timeout=90s")

	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: web
    image: IMAGE
    command: [sh, -c, "echo from the balancer > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"]
    readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
`)
	s.must("wait", "--for=condition=Ready", "pod/web", "--timeout=90s")
	s.must("wait", "--for=jsonpath={.status.loadBalancer.ingress[0].ip}", "service/web", "--timeout=60s")
	address := s.must("get", "service/web", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
	if !strings.HasPrefix(address, "198.51.100.") {
		t.Fatalf("the balancer's address is %q, not one of loadBalancerRange", address)
	}
	s.until("a pod to reach the balancer's address", func() (string, bool) {
		out, err := s.try("exec", "web", "--", "wget", "-qO-", "http://"+address)
		return out, err == nil && strings.TrimSpace(out) == "from the balancer"
	})
	if events := s.must("get", "events", "-o", "jsonpath={.items[*].reason}"); !strings.Contains(events, "EnsuredLoadBalancer") {
		t.Fatalf("no event EnsuredLoadBalancer: %s", events)
	}

	s.must("patch", "service/web", "--type=merge", `--patch={"spec":{"type":"ClusterIP"}}`)
	s.eventually("{}", "get", "service/web", "-o", "jsonpath={.status.loadBalancer}")
}
