package smoke

import (
	"context"
	"strings"
	"testing"
)

// killAll ends every process of the program on a node with SIGKILL, by PID inside the node, and gives how many there were.
func killAll(t *testing.T, node, program string) int {
	t.Helper()
	script := `for p in /proc/[0-9]*; do read -r c < $p/comm && [ "$c" = "` + program + `" ] && kill -9 "${p#/proc/}" && echo killed; done; true`
	out, err := run(context.Background(), "", "bin/cluster", "shell", "--name="+clusterName(), "--node="+node, "--", "sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(out, "killed")
}

// TestAddonsComeBack kills the pod network's agents and the name servers on both nodes: pods keep their connections and
// containers, new pods get addresses, and names resolve again.
func TestAddonsComeBack(t *testing.T) {
	s := newSpace(t)
	s.apply(web)
	s.must("rollout", "status", "deployment/web", "--timeout=90s")
	s.must("rollout", "status", "daemonset/client", "--timeout=90s")
	containers := func() string {
		return s.must("get", "pods", "-o", `jsonpath={range .items[*]}{.status.containerStatuses[0].containerID} {end}`)
	}
	before := containers()
	clients := strings.Fields(s.must("get", "pods", "-l", "app=client", "-o", "jsonpath={.items[*].metadata.name}"))
	for _, program := range []string{"podnet", "coredns"} {
		killed := 0
		for _, node := range []string{"control-plane", "worker-1"} {
			killed += killAll(t, node, program)
		}
		if killed != 2 {
			t.Errorf("%d processes of %s, want 2", killed, program)
		}
		for _, client := range clients {
			for _, pod := range strings.Fields(s.must("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].status.podIP}")) {
				if _, err := s.try("exec", client, "--", "wget", "-qO-", "http://"+pod+":8080"); err != nil {
					t.Errorf("without %s: %v", program, err)
				}
			}
		}
	}
	for _, workload := range []string{"daemonset/podnet", "deployment/coredns"} {
		s.must("rollout", "status", workload, "--namespace=kube-system", "--timeout=90s")
	}
	for _, client := range clients {
		s.until("names to resolve in "+client, func() (string, bool) {
			out, err := s.try("exec", client, "--", "wget", "-qO-", "http://web")
			if err != nil {
				return err.Error(), false
			}
			return out, strings.HasPrefix(out, "web-")
		})
	}
	if after := containers(); after != before {
		t.Errorf("containers were %s and are %s", before, after)
	}
	s.must("scale", "deployment/web", "--replicas=4")
	s.eventually("4", "get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}")
}
