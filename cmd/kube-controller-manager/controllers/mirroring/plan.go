package mirroring

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// Plan is what makes the slices mirror an Endpoints object.
type Plan struct {
	Create, Update, Delete []*discoveryv1.EndpointSlice
	// Invalid addresses are no IP addresses; Excess ones are beyond the limit of their subset. Neither is mirrored.
	Invalid, Excess int
}

// String says the plan in a line.
func (p Plan) String() string {
	return fmt.Sprintf("create %d, update %d, delete %d slices; %d addresses invalid, %d too many", len(p.Create), len(p.Update), len(p.Delete), p.Invalid, p.Excess)
}

// Mirrored tells whether the Endpoints of a Service are mirrored: they are kept by hand, not by a selector, and nobody asked to leave
// them alone.
func Mirrored(service *v1.Service, endpoints *v1.Endpoints) bool {
	if service == nil || endpoints == nil || service.Spec.Selector != nil || endpoints.DeletionTimestamp != nil {
		return false
	}
	_, lock := endpoints.Annotations["control-plane.alpha.kubernetes.io/leader"] // an election of old clients
	return !lock && endpoints.Labels[discoveryv1.LabelSkipMirror] != "true"
}

// PlanSlices compares the slices there are with those that mirror endpoints, of which at most limit addresses a subset are taken. The
// addresses of a subset are in one slice a family; a slice whose ports are no longer wanted is used again for others, so that clients
// see no gap.
func PlanSlices(endpoints *v1.Endpoints, existing []*discoveryv1.EndpointSlice, limit int) Plan {
	var plan Plan
	wanted := map[string]*discoveryv1.EndpointSlice{}
	for _, subset := range endpoints.Subsets {
		plan.collect(wanted, endpoints, subset, limit)
	}
	unused := map[string][]*discoveryv1.EndpointSlice{}
	for _, slice := range sorted(existing) {
		key := keyOf(slice.AddressType, slice.Ports)
		want := wanted[key]
		if want == nil {
			unused[string(slice.AddressType)] = append(unused[string(slice.AddressType)], slice)
			continue
		}
		delete(wanted, key) // a second slice of the same ports is surplus
		if !same(slice, want) {
			plan.Update = append(plan.Update, overwritten(slice, want))
		}
	}
	for _, want := range sortedValues(wanted) {
		spare := unused[string(want.AddressType)]
		if len(spare) == 0 {
			plan.Create = append(plan.Create, want)
			continue
		}
		plan.Update = append(plan.Update, overwritten(spare[0], want))
		unused[string(want.AddressType)] = spare[1:]
	}
	for _, family := range []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN} {
		plan.Delete = append(plan.Delete, unused[string(family)]...)
	}
	return plan
}

// collect adds a subset's addresses to the wanted slices.
func (p *Plan) collect(wanted map[string]*discoveryv1.EndpointSlice, endpoints *v1.Endpoints, subset v1.EndpointSubset, limit int) {
	ports := portsOf(subset.Ports)
	taken := 0
	add := func(addresses []v1.EndpointAddress, ready bool) {
		for i := range addresses {
			ip, err := netip.ParseAddr(addresses[i].IP)
			switch {
			case err != nil:
				p.Invalid++
				continue
			case taken >= limit:
				p.Excess++
				continue
			}
			taken++
			family := discoveryv1.AddressTypeIPv4
			if ip.Is6() {
				family = discoveryv1.AddressTypeIPv6
			}
			key := keyOf(family, ports)
			if wanted[key] == nil {
				wanted[key] = newSlice(endpoints, family, ports)
			}
			put(wanted[key], endpointOf(&addresses[i], ready))
		}
	}
	add(subset.Addresses, true)
	add(subset.NotReadyAddresses, false)
}

// put adds an endpoint; one that is there already is ready when either is.
func put(slice *discoveryv1.EndpointSlice, e discoveryv1.Endpoint) {
	for i := range slice.Endpoints {
		if have := &slice.Endpoints[i]; have.Addresses[0] == e.Addresses[0] && equality.Semantic.DeepEqual(have.TargetRef, e.TargetRef) {
			*have.Conditions.Ready = *have.Conditions.Ready || *e.Conditions.Ready
			return
		}
	}
	slice.Endpoints = append(slice.Endpoints, e)
}

func endpointOf(a *v1.EndpointAddress, ready bool) discoveryv1.Endpoint {
	e := discoveryv1.Endpoint{Addresses: []string{a.IP}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}, TargetRef: a.TargetRef, NodeName: a.NodeName}
	if a.Hostname != "" {
		e.Hostname = &a.Hostname
	}
	return e
}

func portsOf(list []v1.EndpointPort) []discoveryv1.EndpointPort {
	ports := make([]discoveryv1.EndpointPort, 0, len(list))
	for _, p := range list {
		protocol := p.Protocol
		if protocol == "" {
			protocol = v1.ProtocolTCP
		}
		ports = append(ports, discoveryv1.EndpointPort{Name: ptr.To(p.Name), Port: ptr.To(p.Port), Protocol: &protocol, AppProtocol: p.AppProtocol})
	}
	return ports
}

func newSlice(endpoints *v1.Endpoints, family discoveryv1.AddressType, ports []discoveryv1.EndpointPort) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: endpoints.Namespace, GenerateName: prefix(endpoints.Name), Labels: map[string]string{}, Annotations: map[string]string{},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(endpoints, v1.SchemeGroupVersion.WithKind("Endpoints"))},
		},
		AddressType: family, Ports: ports,
	}
	for key, value := range endpoints.Labels {
		slice.Labels[key] = value
	}
	slice.Labels[discoveryv1.LabelServiceName], slice.Labels[discoveryv1.LabelManagedBy] = endpoints.Name, controllerName
	for key, value := range endpoints.Annotations {
		if key != v1.LastAppliedConfigAnnotation && key != v1.EndpointsLastChangeTriggerTime {
			slice.Annotations[key] = value
		}
	}
	return slice
}

// prefix of a slice's generated name: a name of 63 characters leaves no room for a dash that keeps it valid.
func prefix(name string) string {
	const room = 58 // generated names cut at this length of the given part
	if len(name)+1 > room {
		return name[:room]
	}
	return name + "-"
}

// same tells whether slice already says what want says.
func same(slice, want *discoveryv1.EndpointSlice) bool {
	return equality.Semantic.DeepEqual(slice.Labels, want.Labels) && equality.Semantic.DeepEqual(slice.Annotations, want.Annotations) &&
		equality.Semantic.DeepEqual(byAddress(slice.Endpoints), byAddress(want.Endpoints))
}

func byAddress(list []discoveryv1.Endpoint) []discoveryv1.Endpoint {
	return slices.SortedFunc(slices.Values(list), func(a, b discoveryv1.Endpoint) int { return slices.Compare(a.Addresses, b.Addresses) })
}

// overwritten is slice saying what want says.
func overwritten(slice, want *discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
	update := slice.DeepCopy()
	update.Labels, update.Annotations, update.OwnerReferences = want.Labels, want.Annotations, want.OwnerReferences
	update.Ports, update.Endpoints = want.Ports, want.Endpoints
	return update
}

// keyOf stands for a family and a set of ports, whatever their order.
func keyOf(family discoveryv1.AddressType, ports []discoveryv1.EndpointPort) string {
	texts := make([]string, 0, len(ports))
	for i := range ports {
		text, err := json.Marshal(ports[i])
		if err != nil { // strings and a number: cannot fail
			panic(err)
		}
		texts = append(texts, string(text))
	}
	slices.Sort(texts)
	return fmt.Sprint(family, texts)
}

func sorted(list []*discoveryv1.EndpointSlice) []*discoveryv1.EndpointSlice {
	return slices.SortedFunc(slices.Values(list), func(a, b *discoveryv1.EndpointSlice) int { return cmp.Compare(a.Name, b.Name) })
}

func sortedValues(m map[string]*discoveryv1.EndpointSlice) []*discoveryv1.EndpointSlice {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	out := make([]*discoveryv1.EndpointSlice, 0, len(keys))
	for _, key := range keys {
		out = append(out, m[key])
	}
	return out
}
