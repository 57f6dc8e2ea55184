package desired

import (
	"errors"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func node(name, address string, cidrs ...string) *v1.Node {
	n := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.NodeSpec{PodCIDRs: cidrs}}
	if address != "" {
		n.Status.Addresses = []v1.NodeAddress{{Type: v1.NodeHostName, Address: name}, {Type: v1.NodeInternalIP, Address: address}}
	}
	return n
}

func TestPlan(t *testing.T) {
	tests := []struct {
		name    string
		nodes   []*v1.Node
		want    string
		wantErr string
	}{
		{name: "every other node gets a route",
			nodes: []*v1.Node{node("a", "10.0.0.1", "10.244.0.0/24"), node("c", "10.0.0.3", "10.244.2.0/24"), node("b", "10.0.0.2", "10.244.1.0/24")},
			want:  "pods [10.244.0.0/24]\nroute 10.244.1.0/24 via 10.0.0.2\nroute 10.244.2.0/24 via 10.0.0.3\n"},
		{name: "a node without address or pod CIDR waits",
			nodes: []*v1.Node{node("a", "10.0.0.1", "10.244.0.0/24"), node("b", "", "10.244.1.0/24"), node("c", "10.0.0.3")},
			want:  "pods [10.244.0.0/24]\n"},
		{name: "families do not mix",
			nodes: []*v1.Node{node("a", "10.0.0.1", "10.244.0.0/24", "fd00::/64"), node("b", "10.0.0.2", "10.244.1.0/24", "fd00:0:0:1::/64")},
			want:  "pods [10.244.0.0/24 fd00::/64]\nroute 10.244.1.0/24 via 10.0.0.2\n"},
		{name: "this node has no pod CIDR", nodes: []*v1.Node{node("a", "10.0.0.1")}, wantErr: ErrNoPodCIDR.Error()},
		{name: "this node is unknown", nodes: []*v1.Node{node("b", "10.0.0.1", "10.244.1.0/24")}, wantErr: "node a does not exist"},
		{name: "a broken pod CIDR names its node", nodes: []*v1.Node{node("a", "10.0.0.1", "x")}, wantErr: "node a: spec.podCIDRs"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plan, err := For("a", tt.nodes, []string{"10.244.0.0/16"})
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("error %v, want one with %q", err, tt.wantErr)
				}
				return
			}
			if err != nil || plan.String() != tt.want {
				t.Errorf("plan:\n%s(%v)\nwant:\n%s", plan, err, tt.want)
			}
		})
	}
}

func TestConfListNamesEveryPodCIDR(t *testing.T) {
	plan, err := For("a", []*v1.Node{node("a", "10.0.0.1", "10.244.0.0/24", "fd00::/64")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	conf, err := plan.ConfList(1450)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"subnet": "10.244.0.0/24"`, `"subnet": "fd00::/64"`, `"dst": "::/0"`, `"mtu": 1450`, `"portMappings": true`} {
		if !strings.Contains(string(conf), part) {
			t.Errorf("%s is missing in:\n%s", part, conf)
		}
	}
}

func TestErrNoPodCIDRCanBeTold(t *testing.T) {
	if _, err := For("a", []*v1.Node{node("a", "")}, nil); !errors.Is(err, ErrNoPodCIDR) {
		t.Errorf("error %v is not ErrNoPodCIDR", err)
	}
}
