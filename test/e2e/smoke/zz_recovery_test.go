package smoke

import (
	"context"
	"strings"
	"testing"
)

// TestDaemonsComeBack kills every daemon of the control-plane node in turn, by PID inside the node. Each comes back by
// itself, containers that were not killed keep running, and nothing that was written is lost.
func TestDaemonsComeBack(t *testing.T) {
	s := newSpace(t)
	s.apply(web)
	s.must("rollout", "status", "deployment/web", "--timeout=90s")
	containers := func() string {
		out, _ := s.try("get", "pods", "-o", `jsonpath={range .items[*]}{.metadata.name}={.status.containerStatuses[0].containerID} {end}`)
		return strings.TrimSpace(out)
	}
	before := containers()
	for _, daemon := range []string{"kube-scheduler", "kube-controller-manager", "kube-proxy", "etcd", "kube-apiserver", "kubelet", "containerd"} {
		s.must("create", "configmap", "written-before-"+daemon)
		comm := daemon[:min(len(daemon), 15)] // what the kernel keeps of a name
		if killAll(t, "control-plane", comm) == 0 {
			t.Fatalf("%s does not run, so it was not killed", daemon)
		}
		s.until(daemon+" to be back", func() (string, bool) {
			out, err := run(context.Background(), "", "bin/cluster", "shell", "--name="+clusterName(), "--node=control-plane", "--", "sh", "-c",
				`for p in /proc/[0-9]*; do read -r c < $p/comm && [ "$c" = "`+comm+`" ] && echo runs; done; true`)
			if err != nil || !strings.Contains(out, "runs") {
				return out, false
			}
			out, err = s.try("get", "--raw", "/readyz")
			return out, err == nil && strings.TrimSpace(out) == "ok"
		})
		s.until("the object written before", func() (string, bool) {
			out, err := s.try("get", "configmap", "written-before-"+daemon, "-o", "name")
			return out, err == nil
		})
	}
	s.until("the nodes to be Ready", func() (string, bool) {
		out, err := s.try("get", "nodes", "-o", `jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}`)
		return out, err == nil && strings.TrimSpace(out) == "True True"
	})
	s.must("scale", "deployment/web", "--replicas=4")
	s.eventually("4", "get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}")
	for _, one := range strings.Fields(before) {
		if !strings.Contains(containers(), one) {
			t.Errorf("container %s was restarted; now %s", one, containers())
		}
	}
}
