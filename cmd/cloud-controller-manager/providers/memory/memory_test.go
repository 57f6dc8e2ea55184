package memory

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func service(uid, ip string) *v1.Service {
	s := &v1.Service{ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid)}}
	if ip != "" {
		s.Status.LoadBalancer.Ingress = []v1.LoadBalancerIngress{{IP: ip}}
	}
	return s
}

func TestLoadBalancerAddresses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cloud.yaml")
	if err := os.WriteFile(file, []byte("loadBalancerRange: 198.51.100.0/30\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	provider, err := New(file)
	if err != nil {
		t.Fatal(err)
	}
	lb, _ := provider.LoadBalancer()
	ctx := context.Background()
	ensure := func(s *v1.Service, want string) {
		t.Helper()
		st, err := lb.EnsureLoadBalancer(ctx, "c", s, nil)
		if err != nil || st.Ingress[0].IP != want {
			t.Errorf("status %v, %v; want %s", st, err, want)
		}
	}
	ensure(service("a", "198.51.100.2"), "198.51.100.2") // kept from before a restart
	ensure(service("b", ""), "198.51.100.1")
	ensure(service("b", ""), "198.51.100.1")
	ensure(service("c", ""), "198.51.100.3")
	if _, err := lb.EnsureLoadBalancer(ctx, "c", service("d", ""), nil); err == nil || !strings.Contains(err.Error(), "no address") {
		t.Errorf("error %v, want that no address is free", err)
	}
	if err := lb.EnsureLoadBalancerDeleted(ctx, "c", service("a", "")); err != nil {
		t.Fatal(err)
	}
	ensure(service("d", ""), "198.51.100.2")
}

func TestUnknownConfigFieldIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cloud.yaml")
	if err := os.WriteFile(file, []byte("rang: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(file); err == nil || !strings.Contains(err.Error(), `unknown field "rang"`) {
		t.Errorf("error %v does not name the field", err)
	}
}
