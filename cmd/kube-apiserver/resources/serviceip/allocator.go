package serviceip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ManagedBy marks the IPAddress objects that this allocator made.
const ManagedBy = "ipallocator.k8s.io"

// What can go wrong with an address.
var (
	ErrAllocated  = errors.New("provided IP is already allocated")
	ErrFull       = errors.New("range is full")
	ErrNotInRange = errors.New("the provided IP is not in the valid range")
)

// Objects keeps IPAddresses and ServiceCIDRs; the stores of the API server do.
type Objects interface {
	CreateAddress(ctx context.Context, a *networkingv1.IPAddress) error
	DeleteAddress(ctx context.Context, name string, uid *metav1.ObjectMeta) error
	// Address returns a NotFound error for a free address. It may be a moment old.
	Address(ctx context.Context, name string) (*networkingv1.IPAddress, error)
	ServiceCIDRs(ctx context.Context) ([]networkingv1.ServiceCIDR, error)
}

// Allocator gives out addresses of the ranges of the flags and of ServiceCIDR objects, and node ports.
type Allocator struct {
	Ports    *Ports
	defaults []netip.Prefix // of --service-cluster-ip-range, the primary family first
	objects  Objects
}

// New returns an allocator of the given ranges.
func New(ranges []*net.IPNet, ports *Ports) (*Allocator, error) {
	a := &Allocator{Ports: ports}
	for _, r := range ranges {
		p, err := netip.ParsePrefix(r.String())
		if err != nil {
			return nil, fmt.Errorf("service range %s: %w", r, err)
		}
		a.defaults = append(a.defaults, p.Masked())
	}
	return a, nil
}

// Use tells where the objects are kept; before that nothing can be allocated.
func (a *Allocator) Use(o Objects) { a.objects = o }

// Families are the IP families of the cluster, the primary first.
func (a *Allocator) Families() []corev1.IPFamily {
	out := make([]corev1.IPFamily, len(a.defaults))
	for i, p := range a.defaults {
		out[i] = FamilyOf(p.Addr())
	}
	return out
}

// Defaults are the ranges of the flags.
func (a *Allocator) Defaults() []netip.Prefix { return a.defaults }

// FamilyOf is the family of an address.
func FamilyOf(addr netip.Addr) corev1.IPFamily {
	if addr.Is4() || addr.Is4In6() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

// ranges are all that addresses of a family may come from.
func (a *Allocator) ranges(ctx context.Context, family corev1.IPFamily) ([]netip.Prefix, error) {
	cidrs, err := a.objects.ServiceCIDRs(ctx)
	if err != nil {
		return nil, err
	}
	var out []netip.Prefix
	seen := map[netip.Prefix]bool{}
	add := func(p netip.Prefix) {
		if FamilyOf(p.Addr()) == family && !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	closed := map[netip.Prefix]bool{}
	for i := range cidrs {
		usable := cidrs[i].DeletionTimestamp == nil && isReady(&cidrs[i])
		for _, text := range cidrs[i].Spec.CIDRs {
			p, err := netip.ParsePrefix(text)
			switch {
			case err != nil:
			case usable:
				add(p.Masked())
			case cidrs[i].DeletionTimestamp != nil:
				closed[p.Masked()] = true
			}
		}
	}
	for _, p := range a.defaults {
		if !closed[p] {
			add(p)
		}
	}
	return out, nil
}

func isReady(c *networkingv1.ServiceCIDR) bool {
	for _, condition := range c.Status.Conditions {
		if condition.Type == networkingv1.ServiceCIDRConditionReady {
			return condition.Status == metav1.ConditionTrue
		}
	}
	return true // nobody has judged it yet
}

// Allocate takes one address for the service: wanted, or any of the family when wanted is empty.
func (a *Allocator) Allocate(ctx context.Context, service *corev1.Service, family corev1.IPFamily, wanted string, dryRun bool) (string, error) {
	ranges, err := a.ranges(ctx, family)
	if err != nil {
		return "", err
	}
	if wanted != "" {
		return a.take(ctx, service, ranges, wanted, dryRun)
	}
	for _, r := range ranges {
		ip, err := a.any(ctx, service, r, dryRun)
		if err == nil || !errors.Is(err, ErrFull) {
			return ip, err
		}
	}
	return "", ErrFull
}

func (a *Allocator) take(ctx context.Context, service *corev1.Service, ranges []netip.Prefix, wanted string, dryRun bool) (string, error) {
	addr, err := netip.ParseAddr(wanted)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotInRange, err)
	}
	for _, r := range ranges {
		if s := span(r); s.contains(addr) {
			return wanted, a.create(ctx, service, addr, dryRun)
		}
	}
	return "", fmt.Errorf("%w. The range of valid IPs is %s", ErrNotInRange, rangesText(ranges))
}

func rangesText(ranges []netip.Prefix) string {
	text := ""
	for i, r := range ranges {
		if i > 0 {
			text += ", "
		}
		text += r.String()
	}
	return text
}

// any takes a free address of r. The lower part of a range is left to those who ask for an address of their choice
// (KEP-3070), as long as the upper has room.
func (a *Allocator) any(ctx context.Context, service *corev1.Service, r netip.Prefix, dryRun bool) (string, error) {
	s := span(r)
	upper, lower := s.bands()
	for _, band := range []interval{upper, lower} {
		if band.size == 0 {
			continue
		}
		start := rand.Uint64N(band.size)
		for i := range band.size {
			addr := s.at(band.first + (start+i)%band.size)
			if _, err := a.objects.Address(ctx, addr.String()); err == nil {
				continue
			} else if !apierrors.IsNotFound(err) {
				return "", err
			}
			err := a.create(ctx, service, addr, dryRun)
			if err == nil {
				return addr.String(), nil
			}
			if !errors.Is(err, ErrAllocated) {
				return "", err
			}
		}
	}
	return "", ErrFull
}

func (a *Allocator) create(ctx context.Context, service *corev1.Service, addr netip.Addr, dryRun bool) error {
	if dryRun {
		if _, err := a.objects.Address(ctx, addr.String()); err == nil {
			return ErrAllocated
		}
		return nil
	}
	err := a.objects.CreateAddress(ctx, AddressFor(service, addr))
	if apierrors.IsAlreadyExists(err) {
		return ErrAllocated
	}
	return err
}

// AddressFor is the IPAddress object that says that service has addr.
func AddressFor(service *corev1.Service, addr netip.Addr) *networkingv1.IPAddress {
	return &networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{
			Name: addr.String(),
			Labels: map[string]string{
				networkingv1.LabelIPAddressFamily: string(FamilyOf(addr)),
				networkingv1.LabelManagedBy:       ManagedBy,
			},
		},
		Spec: networkingv1.IPAddressSpec{ParentRef: &networkingv1.ParentReference{
			Resource: "services", Namespace: service.Namespace, Name: service.Name,
		}},
	}
}

// Release gives addresses back. One that is not there any more is no fault.
func (a *Allocator) Release(ctx context.Context, service *corev1.Service, addresses []string) error {
	var faults []error
	for _, ip := range addresses {
		addr, err := netip.ParseAddr(ip)
		if err != nil {
			continue
		}
		found, err := a.objects.Address(ctx, addr.String())
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		if ref := found.Spec.ParentRef; ref != nil && (ref.Namespace != service.Namespace || ref.Name != service.Name) {
			continue // it belongs to somebody else by now
		}
		if err := a.objects.DeleteAddress(ctx, addr.String(), &found.ObjectMeta); err != nil && !apierrors.IsNotFound(err) {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}
