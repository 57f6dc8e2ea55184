package smoke

import (
	"context"
	"strings"
	"testing"
)

func TestNodesAreReadyAtTheVersion(t *testing.T) {
	s := space{t, "default"}
	out := s.must("get", "nodes", "-o", `jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status} {.status.nodeInfo.kubeletVersion}{"\n"}{end}`)
	lines := strings.Split(out, "\n")
	if len(lines) != 2 {
		t.Fatalf("nodes:\n%s\nwant two", out)
	}
	for _, l := range lines {
		if !strings.Contains(l, " True v1.37") {
			t.Errorf("node %q is not Ready at v1.37", l)
		}
	}
}

func TestControlPlaneIsHealthy(t *testing.T) {
	s := space{t, "kube-system"}
	out := s.must("get", "--raw", "/readyz?verbose")
	if !strings.Contains(out, "readyz check passed") || strings.Contains(out, "[-]") {
		t.Error(out)
	}
	s.until("only Running pods", func() (string, bool) {
		out, err := s.try("get", "pods", "-o", `jsonpath={range .items[*]}{.metadata.name}={.status.phase} {end}`)
		if err != nil {
			return err.Error(), false
		}
		return out, !strings.Contains(out, "=Pending") && !strings.Contains(out, "=Failed") && strings.Count(out, "=Running") >= 9
	})
}

func TestEtcdHoldsProtobufUnderRegistry(t *testing.T) {
	etcdctl := "etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt --cert=/etc/kubernetes/pki/etcd/server.crt --key=/etc/kubernetes/pki/etcd/server.key "
	inNode := func(command string) string {
		out, err := run(context.Background(), "", "bin/cluster", "shell", "--name="+clusterName(), "--node=control-plane", "--", "sh", "-c", command)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, key := range strings.Fields(inNode(etcdctl + "get / --prefix --keys-only")) {
		if !strings.HasPrefix(key, "/registry/") {
			t.Errorf("key %s is not under /registry", key)
		}
	}
	if value := inNode(etcdctl + "get /registry/namespaces/default --print-value-only | head -c 4"); !strings.HasPrefix(value, "k8s\x00") {
		t.Errorf("the value begins with %q, not with the protobuf prefix", value)
	}
}
