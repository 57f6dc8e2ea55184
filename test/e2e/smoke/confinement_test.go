package smoke

import (
	"context"
	"strings"
	"testing"
)

// TestNodeCredentialIsConfined uses the certificate that the kubelet of worker-1 got when it joined, inside that node:
// it reaches what its own pods need and nothing of the other node.
func TestNodeCredentialIsConfined(t *testing.T) {
	s := newSpace(t)
	for _, node := range []string{"worker-1", "control-plane"} {
		s.apply(`
apiVersion: v1
kind: Secret
metadata: {name: of-` + node + `}
stringData: {word: told}
---
apiVersion: v1
kind: Pod
metadata: {name: on-` + node + `}
spec:
  nodeName: ` + node + `
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: IMAGE, command: [sleep, "100000"], envFrom: [{secretRef: {name: of-` + node + `}}]}]
`)
		s.must("wait", "--for=condition=Ready", "pod/on-"+node, "--timeout=90s")
	}
	s.must("create", "secret", "generic", "of-nobody")
	kubelet := func(args ...string) error {
		inNode := append([]string{"shell", "--name=" + clusterName(), "--node=worker-1", "--", "kubectl", "--kubeconfig=/etc/kubernetes/kubelet.conf", "--namespace=" + s.name}, args...)
		_, err := run(context.Background(), "", "bin/cluster", inNode...)
		return err
	}
	for _, args := range [][]string{
		{"get", "node", "worker-1"},
		{"get", "secret", "of-worker-1"},
		{"get", "pod", "on-worker-1"},
		{"label", "node", "worker-1", "smoke.pilotis.dev/mark=own", "--overwrite"},
		{"label", "node", "worker-1", "smoke.pilotis.dev/mark-"},
	} {
		if err := kubelet(args...); err != nil {
			t.Errorf("the kubelet needs %v: %v", args, err)
		}
	}
	for _, tt := range []struct {
		why  string
		args []string
	}{
		{"no relationship found", []string{"get", "secret", "of-control-plane"}},
		{"no relationship found", []string{"get", "secret", "of-nobody"}},
		{"no relationship found", []string{"get", "pod", "on-control-plane"}}, // KEP-4601: a node reads its own pods only
		{"forbidden", []string{"get", "pods"}},
		{"forbidden", []string{"get", "secrets"}},
		{"forbidden", []string{"label", "node", "control-plane", "smoke.pilotis.dev/mark=other"}},
		{"forbidden", []string{"label", "node", "worker-1", "node-restriction.kubernetes.io/zone=safe"}},
		{"forbidden", []string{"taint", "node", "worker-1", "smoke=x:NoSchedule"}},
		{"forbidden", []string{"delete", "pod", "on-control-plane"}},
		{"forbidden", []string{"delete", "lease", "control-plane", "--namespace=kube-node-lease"}},
		{"forbidden", []string{"run", "intruder", "--image=" + image}},
		{"forbidden", []string{"create", "configmap", "intruder"}},
	} {
		if err := kubelet(tt.args...); err == nil || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%v: want %q, got %v", tt.args, tt.why, err)
		}
	}
}
