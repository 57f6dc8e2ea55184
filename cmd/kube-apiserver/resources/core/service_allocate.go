package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/klog/v2"

	"pilotis.dev/api/validation"
	"pilotis.dev/cmd/kube-apiserver/resources/serviceip"
)

// allocation is what a write of a service takes and gives back. What was taken is returned when the write fails; what
// it frees is freed when the write succeeds.
type allocation struct {
	service    *corev1.Service
	allocator  *serviceip.Allocator
	dryRun     bool
	takenIPs   []string
	takenPorts []int32
	freeIPs    []string
	freePorts  []int32
}

// finish ends the allocation.
func (a *allocation) finish(ctx context.Context, success bool) {
	if a.dryRun {
		return
	}
	ips, ports := a.takenIPs, a.takenPorts
	if success {
		ips, ports = a.freeIPs, a.freePorts
	}
	// The request may be over, what it took must not stay.
	ctx = context.WithoutCancel(ctx)
	if err := a.allocator.Release(ctx, a.service, ips); err != nil {
		klog.FromContext(ctx).Error(err, "Service addresses not released; the next repair does it", "service", klog.KObj(a.service), "addresses", ips)
	}
	if err := a.allocator.Ports.Release(ctx, ports); err != nil {
		klog.FromContext(ctx).Error(err, "Node ports not released; the next repair does it", "service", klog.KObj(a.service), "ports", ports)
	}
}

// allocate completes s with addresses and ports. What the client says of addresses must be sound before anything is
// taken for it. On an error all is given back.
func allocate(ctx context.Context, allocator *serviceip.Allocator, s, old *corev1.Service, dryRun bool) (*allocation, error) {
	a := &allocation{service: s, allocator: allocator, dryRun: dryRun}
	pairClusterIP(s, old)
	trimFamilies(s, old)
	errs, others := faultsOf(s, old)
	if len(errs) == 0 {
		errs = setFamilies(s, old, allocator.Families())
	}
	if len(errs) == 0 {
		errs = a.addresses(ctx, s, old)
	}
	if len(errs) == 0 {
		errs = a.ports(ctx, s, old)
	}
	if len(errs) > 0 {
		a.finish(ctx, false)
		errs = append(errs, others...)
		return nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Service").GroupKind(), s.Name, errs)
	}
	return a, nil
}

// faultsOf are the faults of the addresses that the client chose, and those of the fields that allocation does not set:
// a client hears of all at once.
func faultsOf(s, old *corev1.Service) (addresses, others field.ErrorList) {
	var errs field.ErrorList
	if old == nil {
		errs = validation.Create(s)
	} else {
		errs = validation.Update(s, old)
	}
	for _, e := range errs {
		switch {
		case strings.HasPrefix(e.Field, "spec.clusterIP"), strings.HasPrefix(e.Field, "spec.ipFamil"):
			addresses = append(addresses, e)
		case !strings.HasSuffix(e.Field, ".nodePort"):
			others = append(others, e)
		}
	}
	return addresses, others
}

func hasAddresses(s *corev1.Service) bool {
	return s != nil && needsClusterIP(s) && len(s.Spec.ClusterIPs) > 0 && !headless(s)
}

// addresses takes a cluster IP for each family of s that has none, and plans to free what s does not have any more.
func (a *allocation) addresses(ctx context.Context, s, old *corev1.Service) field.ErrorList {
	var had []string
	if hasAddresses(old) {
		had = old.Spec.ClusterIPs
	}
	if needsClusterIP(s) && !headless(s) {
		for i, family := range s.Spec.IPFamilies {
			wanted := ""
			if i < len(s.Spec.ClusterIPs) {
				wanted = s.Spec.ClusterIPs[i]
			}
			if wanted != "" && slices.Contains(had, wanted) {
				continue
			}
			ip, err := a.allocator.Allocate(ctx, s, family, wanted, a.dryRun)
			if err != nil {
				return field.ErrorList{addressFault(err, i, wanted)}
			}
			a.takenIPs = append(a.takenIPs, ip)
			if i < len(s.Spec.ClusterIPs) {
				s.Spec.ClusterIPs[i] = ip
			} else {
				s.Spec.ClusterIPs = append(s.Spec.ClusterIPs, ip)
			}
			if i == 0 {
				s.Spec.ClusterIP = ip
			}
		}
	}
	for _, ip := range had {
		if !hasAddresses(s) || !slices.Contains(s.Spec.ClusterIPs, ip) {
			a.freeIPs = append(a.freeIPs, ip)
		}
	}
	return nil
}

func addressFault(err error, i int, wanted string) *field.Error {
	path := field.NewPath("spec", "clusterIPs").Index(i)
	switch {
	case errors.Is(err, serviceip.ErrAllocated), errors.Is(err, serviceip.ErrNotInRange):
		return field.Invalid(path, []string{wanted}, "failed to allocate IP "+wanted+": "+err.Error())
	}
	return field.InternalError(path, fmt.Errorf("failed to allocate a serviceIP: %w", err))
}

func needsNodePorts(s *corev1.Service) bool {
	switch s.Spec.Type {
	case corev1.ServiceTypeNodePort:
		return true
	case corev1.ServiceTypeLoadBalancer:
		return s.Spec.AllocateLoadBalancerNodePorts == nil || *s.Spec.AllocateLoadBalancerNodePorts
	}
	return false
}

// takesNodePorts: a LoadBalancer service without automatic ports still may name some.
func takesNodePorts(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeNodePort || s.Spec.Type == corev1.ServiceTypeLoadBalancer
}

func needsHealthPort(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

// nodePortsOf are all node ports of s, each once: TCP and UDP of one number share it.
func nodePortsOf(s *corev1.Service) []int32 {
	if s == nil {
		return nil
	}
	var out []int32
	add := func(p int32) {
		if p != 0 && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	for i := range s.Spec.Ports {
		add(s.Spec.Ports[i].NodePort)
	}
	add(s.Spec.HealthCheckNodePort)
	return out
}

// ports takes node ports for s and plans to free what it does not have any more.
func (a *allocation) ports(ctx context.Context, s, old *corev1.Service) field.ErrorList {
	had := nodePortsOf(old)
	type place struct {
		port *int32
		path *field.Path
	}
	var places []place
	var wanted []int32
	ask := func(port *int32, path *field.Path) {
		if *port != 0 && (slices.Contains(had, *port) || slices.Contains(wanted, *port)) {
			return
		}
		places, wanted = append(places, place{port, path}), append(wanted, *port)
	}
	if takesNodePorts(s) {
		base := field.NewPath("spec", "ports")
		// A port without a number takes that of the same port in another protocol, as DNS over TCP and UDP.
		var twins, later []int
		for i := range s.Spec.Ports {
			if s.Spec.Ports[i].NodePort == 0 {
				later = append(later, i)
				continue
			}
			ask(&s.Spec.Ports[i].NodePort, base.Index(i).Child("nodePort"))
			if old == nil { // a port that is added to a service gets a number of its own
				twins = append(twins, i)
			}
		}
		for _, i := range later {
			if needsNodePorts(s) && twinOf(s, twins, i) < 0 {
				ask(&s.Spec.Ports[i].NodePort, base.Index(i).Child("nodePort"))
			}
			twins = append(twins, i)
		}
	}
	if needsHealthPort(s) {
		ask(&s.Spec.HealthCheckNodePort, field.NewPath("spec", "healthCheckNodePort"))
	}
	if len(wanted) > 0 {
		got, err := a.allocator.Ports.Allocate(ctx, wanted, a.dryRun)
		if err != nil {
			i := 0
			if which, ok := errors.AsType[*serviceip.PortError](err); ok {
				i = which.Index
			}
			return field.ErrorList{portFault(err, places[i].path, wanted[i])}
		}
		for i := range places {
			*places[i].port = got[i]
		}
		a.takenPorts = got
	}
	fillTwins(s)
	has := nodePortsOf(s)
	for _, p := range had {
		if !slices.Contains(has, p) {
			a.freePorts = append(a.freePorts, p)
		}
	}
	return nil
}

func portFault(err error, path *field.Path, wanted int32) *field.Error {
	if errors.Is(err, serviceip.ErrPortAllocated) || errors.Is(err, serviceip.ErrPortNotInRange) {
		return field.Invalid(path, wanted, err.Error())
	}
	return field.InternalError(path, fmt.Errorf("failed to allocate a nodePort: %w", err))
}

// twinOf finds among earlier ports one with the same number and another protocol.
func twinOf(s *corev1.Service, earlier []int, i int) int {
	for _, j := range earlier {
		if s.Spec.Ports[j].Port == s.Spec.Ports[i].Port && s.Spec.Ports[j].Protocol != s.Spec.Ports[i].Protocol {
			return j
		}
	}
	return -1
}

func fillTwins(s *corev1.Service) {
	if !needsNodePorts(s) {
		return
	}
	for i := range s.Spec.Ports {
		if s.Spec.Ports[i].NodePort != 0 {
			continue
		}
		for j := range s.Spec.Ports {
			if a, b := &s.Spec.Ports[i], &s.Spec.Ports[j]; a.Port == b.Port && a.Protocol != b.Protocol && b.NodePort != 0 {
				a.NodePort = b.NodePort
				break
			}
		}
	}
}
