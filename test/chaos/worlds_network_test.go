package chaos

import (
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"pilotis.dev/test/chaos/memapi"
)

func networkWorlds() map[string]func() World {
	return map[string]func() World{
		"ttl-controller":                              nodeTTLs,
		"service-cidr-controller":                     serviceRanges,
		"endpointslice-mirroring-controller":          mirrored,
		"validatingadmissionpolicy-status-controller": policies,
		"service-lb-controller":                       nothing,
		"node-route-controller":                       nothing,
		"cloud-node-lifecycle-controller":             nothing,
	}
}

func nodeTTLs() World {
	return World{
		Begin: func(c *Case) { c.makeNodes(3) },
		Steps: []func(c *Case){
			func(c *Case) { c.Make(&v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "new"}}) },
			func(c *Case) { edit[v1.Node](c, "user", "", "n1", func(n *v1.Node) { n.Annotations = nil }) },
			func(c *Case) { remove[v1.Node](c, "", "n2", "") },
		},
		Done: func(c *Case) error {
			for _, n := range all[v1.Node](c) {
				if n.Annotations[v1.ObjectTTLAnnotationKey] != "0" {
					return fmt.Errorf("node %s has the time %q", n.Name, n.Annotations[v1.ObjectTTLAnnotationKey])
				}
			}
			return nil
		},
	}
}

func serviceRanges() World {
	cidr := func(name string, ranges ...string) *networkingv1.ServiceCIDR {
		return &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: ranges}}
	}
	ip := func(name string) *networkingv1.IPAddress {
		return &networkingv1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"ipaddress.kubernetes.io/managed-by": "ipallocator"}}}
	}
	drop := func(name string) func(c *Case) {
		return func(c *Case) { remove[networkingv1.ServiceCIDR](c, "", name, "") }
	}
	return World{
		Begin: func(c *Case) {
			c.Make(cidr("a", "10.0.0.0/24"), cidr("b", "10.1.0.0/24"), cidr("c", "10.2.0.0/24"), ip("10.0.0.5"), ip("10.1.0.5"))
		},
		Steps: []func(c *Case){
			func(c *Case) { edit[networkingv1.ServiceCIDR](c, "user", "", "c", func(*networkingv1.ServiceCIDR) {}) },
			drop("a"), drop("b"), func(c *Case) { remove[networkingv1.IPAddress](c, "", "10.1.0.5", "") }, func(c *Case) { c.Make(cidr("d", "10.3.0.0/24")) },
		},
		Check: func(c *Case, e memapi.Event) {
			if e.Actor == "service-cidrs-controller" && e.Type == "DELETED" && e.Object.GetName() == "a" {
				c.Wrong("the range a goes, which the address 10.0.0.5 needs")
			}
		},
		Done: func(c *Case) error {
			for _, o := range all[networkingv1.ServiceCIDR](c) {
				// A range whose deletion began before it had the finalizer goes at once.
				if o.DeletionTimestamp != nil && o.Name != "a" {
					return fmt.Errorf("range %s is still there", o.Name)
				}
				if len(o.Finalizers) != 1 || len(o.Status.Conditions) != 1 || (o.Status.Conditions[0].Status == metav1.ConditionTrue) != (o.DeletionTimestamp == nil) {
					return fmt.Errorf("range %s is not protected, or not said to be ready: %v", o.Name, o.Status.Conditions)
				}
			}
			return nil
		},
	}
}

func mirrored() World {
	svc := func(name string) *v1.Service {
		s := service(name, "x")
		s.Spec.Selector = nil
		return s
	}
	ends := func(name string, ips ...string) *v1.Endpoints {
		e := &v1.Endpoints{ObjectMeta: meta(name), Subsets: []v1.EndpointSubset{{Ports: []v1.EndpointPort{{Name: "http", Port: 80, Protocol: v1.ProtocolTCP}}}}}
		for _, ip := range ips {
			e.Subsets[0].Addresses = append(e.Subsets[0].Addresses, v1.EndpointAddress{IP: ip})
		}
		return e
	}
	set := func(name string, ips ...string) func(c *Case) {
		return func(c *Case) {
			edit[v1.Endpoints](c, "user", ns, name, func(e *v1.Endpoints) { e.Subsets = ends(name, ips...).Subsets })
		}
	}
	return World{
		With:  []string{"garbage-collector-controller"},
		Begin: func(c *Case) { c.Make(svc("db"), ends("db", "10.9.0.1"), svc("gone"), ends("gone", "10.9.1.1")) },
		Steps: []func(c *Case){
			set("db", "10.9.0.1", "10.9.0.2"), func(c *Case) { remove[v1.Endpoints](c, ns, "gone", "") }, set("db", "10.9.0.3"),
			func(c *Case) { c.Make(svc("late")) }, func(c *Case) { c.Make(ends("late", "10.9.2.1")) }, set("db", "10.9.0.3", "10.9.0.4"),
			func(c *Case) {
				for _, s := range c.slicesOf("db") {
					remove[discoveryv1.EndpointSlice](c, ns, s.Name, "")
				}
			},
		},
		Check: func(c *Case, e memapi.Event) {
			if e.Kind.Resource != "endpointslices" || e.Old != nil {
				return
			}
			count := map[string]int{}
			for _, s := range all[discoveryv1.EndpointSlice](c) {
				name := s.Labels[discoveryv1.LabelServiceName]
				if count[name]++; count[name] > 1 {
					c.Wrong("the Endpoints %s, which fit into one slice, have %d", name, count[name])
				}
			}
		},
		Done: func(c *Case) error {
			have := map[string][]string{}
			for _, s := range all[discoveryv1.EndpointSlice](c) {
				for _, e := range s.Endpoints {
					have[s.Labels[discoveryv1.LabelServiceName]] = append(have[s.Labels[discoveryv1.LabelServiceName]], e.Addresses...)
				}
			}
			for _, list := range have {
				slices.Sort(list)
			}
			return missing("addresses", have, map[string][]string{"db": {"10.9.0.3", "10.9.0.4"}, "late": {"10.9.2.1"}})
		},
	}
}

// slicesOf are the slices of a Service.
func (c *Case) slicesOf(service string) []*discoveryv1.EndpointSlice {
	var out []*discoveryv1.EndpointSlice
	c.Server.Locked(func() {
		for _, s := range all[discoveryv1.EndpointSlice](c) {
			if s.Labels[discoveryv1.LabelServiceName] == service {
				out = append(out, s)
			}
		}
	})
	return out
}

func policies() World {
	policy := func(name string) *admissionv1.ValidatingAdmissionPolicy {
		return &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionv1.ValidatingAdmissionPolicySpec{Validations: []admissionv1.Validation{{Expression: "1 > 0"}}}}
	}
	return World{
		Begin: func(c *Case) { c.Make(policy("a"), policy("b")) },
		Steps: []func(c *Case){
			func(c *Case) {
				edit[admissionv1.ValidatingAdmissionPolicy](c, "user", "", "a", func(p *admissionv1.ValidatingAdmissionPolicy) { p.Spec.Validations[0].Expression = "2 > 1" })
			},
			func(c *Case) { remove[admissionv1.ValidatingAdmissionPolicy](c, "", "b", "") },
			func(c *Case) { c.Make(policy("b"), policy("c")) },
		},
		Done: func(c *Case) error {
			for _, p := range all[admissionv1.ValidatingAdmissionPolicy](c) {
				if p.Status.ObservedGeneration != p.Generation || p.Status.TypeChecking == nil {
					return fmt.Errorf("policy %s is not checked", p.Name)
				}
			}
			return missing("policies", len(all[admissionv1.ValidatingAdmissionPolicy](c)), 3)
		},
	}
}

// nothing is the world of the controllers that run in a cloud's own manager: this process writes nothing for them.
func nothing() World {
	return World{
		Begin: func(c *Case) {
			c.makeNodes(1)
			lb := service("lb", "x")
			lb.Spec.Type = v1.ServiceTypeLoadBalancer
			c.Make(lb)
		},
		Check: func(c *Case, e memapi.Event) {
			if e.Actor != "setup" && e.Actor != "kubelet" {
				c.Wrong("%s writes %s %s", e.Actor, e.Kind.Kind, e.Object.GetName())
			}
		},
	}
}
