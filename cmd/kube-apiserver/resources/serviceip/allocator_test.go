package serviceip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// books is Objects in memory.
type books struct {
	mu        sync.Mutex
	addresses map[string]*networkingv1.IPAddress
	cidrs     []networkingv1.ServiceCIDR
}

func (b *books) CreateAddress(_ context.Context, a *networkingv1.IPAddress) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.addresses[a.Name] != nil {
		return apierrors.NewAlreadyExists(networkingv1.Resource("ipaddresses"), a.Name)
	}
	b.addresses[a.Name] = a
	return nil
}

func (b *books) DeleteAddress(_ context.Context, name string, _ *metav1.ObjectMeta) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.addresses, name)
	return nil
}

func (b *books) Address(_ context.Context, name string) (*networkingv1.IPAddress, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.addresses[name]; a != nil {
		return a, nil
	}
	return nil, apierrors.NewNotFound(networkingv1.Resource("ipaddresses"), name)
}

func (b *books) ServiceCIDRs(context.Context) ([]networkingv1.ServiceCIDR, error) {
	return b.cidrs, nil
}

func newAllocator(t *testing.T, ranges ...string) (*Allocator, *books) {
	t.Helper()
	var nets []*net.IPNet
	for _, r := range ranges {
		_, n, err := net.ParseCIDR(r)
		if err != nil {
			t.Fatal(err)
		}
		nets = append(nets, n)
	}
	a, err := New(nets, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &books{addresses: map[string]*networkingv1.IPAddress{}}
	a.Use(b)
	return a, b
}

func svc(name string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name}}
}

// Every usable address of a range is given out once, also when many ask at once, and then the range is full.
func TestAllAddressesOnce(t *testing.T) {
	for _, r := range []string{"10.0.0.0/27", "10.0.0.0/29", "fd00::/123"} {
		t.Run(r, func(t *testing.T) {
			a, b := newAllocator(t, r)
			prefix := netip.MustParsePrefix(r)
			want := int(span(prefix).count)
			family := FamilyOf(prefix.Addr())
			var wg sync.WaitGroup
			for i := range want {
				wg.Go(func() {
					ip, err := a.Allocate(t.Context(), svc(fmt.Sprint(i)), family, "", false)
					if err != nil {
						t.Error(err)
						return
					}
					if !prefix.Contains(netip.MustParseAddr(ip)) {
						t.Errorf("%s is not in %s", ip, r)
					}
				})
			}
			wg.Wait()
			if len(b.addresses) != want {
				t.Errorf("%d addresses given out, want %d", len(b.addresses), want)
			}
			if b.addresses[prefix.Addr().String()] != nil {
				t.Error("the network address was given out")
			}
			if _, err := a.Allocate(t.Context(), svc("more"), family, "", false); !errors.Is(err, ErrFull) {
				t.Errorf("from a full range: %v", err)
			}
		})
	}
}

func TestWantedAddress(t *testing.T) {
	a, _ := newAllocator(t, "10.0.0.0/24")
	for _, tt := range []struct {
		ip   string
		want error
	}{
		{"10.0.0.5", nil}, {"10.0.0.5", ErrAllocated}, {"10.0.0.0", ErrNotInRange}, {"10.0.0.255", ErrNotInRange}, {"10.0.1.1", ErrNotInRange}, {"x", ErrNotInRange},
	} {
		if _, err := a.Allocate(t.Context(), svc("s"), corev1.IPv4Protocol, tt.ip, false); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.ip, err, tt.want)
		}
	}
}

// What a service gives back is free again; what belongs to another is left alone.
func TestRelease(t *testing.T) {
	a, b := newAllocator(t, "10.0.0.0/24")
	if _, err := a.Allocate(t.Context(), svc("s"), corev1.IPv4Protocol, "10.0.0.5", false); err != nil {
		t.Fatal(err)
	}
	if err := a.Release(t.Context(), svc("other"), []string{"10.0.0.5"}); err != nil || len(b.addresses) != 1 {
		t.Errorf("released by another: %v, %d left", err, len(b.addresses))
	}
	if err := a.Release(t.Context(), svc("s"), []string{"10.0.0.5", "10.0.0.6", "None"}); err != nil || len(b.addresses) != 0 {
		t.Errorf("released: %v, %d left", err, len(b.addresses))
	}
}

// More ranges come with ServiceCIDR objects, and go when those are deleted.
func TestMoreRanges(t *testing.T) {
	a, b := newAllocator(t, "10.0.0.0/24")
	b.cidrs = []networkingv1.ServiceCIDR{{
		Spec:   networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.1.0.0/24"}},
		Status: networkingv1.ServiceCIDRStatus{Conditions: []metav1.Condition{{Type: networkingv1.ServiceCIDRConditionReady, Status: metav1.ConditionTrue}}},
	}}
	if _, err := a.Allocate(t.Context(), svc("s"), corev1.IPv4Protocol, "10.1.0.7", false); err != nil {
		t.Error(err)
	}
	now := metav1.Now()
	b.cidrs[0].DeletionTimestamp = &now
	if _, err := a.Allocate(t.Context(), svc("s"), corev1.IPv4Protocol, "10.1.0.8", false); !errors.Is(err, ErrNotInRange) {
		t.Errorf("from a range that goes: %v", err)
	}
}

// The lower band is left to those who choose, until the upper is full.
func TestBands(t *testing.T) {
	for r, want := range map[string]uint64{"10.0.0.0/28": 0, "10.0.0.0/24": 16, "10.0.0.0/20": 255, "10.96.0.0/12": 256, "fd00::/64": 256} {
		s := span(netip.MustParsePrefix(r))
		upper, lower := s.bands()
		if lower.size != want || upper.first != want || upper.size+lower.size != s.count {
			t.Errorf("%s: lower %+v, upper %+v of %d", r, lower, upper, s.count)
		}
	}
}

func FuzzSpan(f *testing.F) {
	f.Add("10.0.0.0/24", uint64(3))
	f.Add("fd00::ffff:ffff:ffff:0/112", uint64(9))
	f.Fuzz(func(t *testing.T, text string, n uint64) {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return
		}
		s := span(p.Masked())
		if s.count == 0 {
			return
		}
		if addr := s.at(n % s.count); !s.contains(addr) || !p.Masked().Contains(addr) {
			t.Errorf("address %d of %s is %s, which is not in it", n%s.count, p, addr)
		}
	})
}
