package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"pilotis.dev/test/chaos/memapi"
)

func clusterWorlds() map[string]func() World {
	return map[string]func() World{
		"namespace-controller":               namespaces,
		"garbage-collector-controller":       ownerGraphs,
		"pod-garbage-collector-controller":   lostPods,
		"clusterrole-aggregation-controller": aggregatedRoles,
		"endpoints-controller":               serviceEndpoints,
		"endpointslice-controller":           serviceSlices,
		"resourcequota-controller":           quotas,
		"node-ipam-controller":               podRanges,
		"node-lifecycle-controller":          nodeHealth,
		"taint-eviction-controller":          taintedNodes,
	}
}

func namespaces() World {
	fill := func(c *Case, name string, holds bool) {
		c.Make(&v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
		in := func(o string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: name, Name: o} }
		kept := &v1.ConfigMap{ObjectMeta: in("kept")}
		if holds {
			kept.Finalizers = []string{"example.com/hold"}
		}
		c.Make(kept, &v1.ConfigMap{ObjectMeta: in("c")}, &v1.Secret{ObjectMeta: in("s")}, &v1.Pod{ObjectMeta: in("p"), Spec: template("p").Spec}, &v1.Service{ObjectMeta: in("svc")})
	}
	doomed := func(name string) bool { return strings.HasPrefix(name, "doomed") }
	return World{
		Begin: func(c *Case) {
			c.makeNodes(1)
			fill(c, "doomed-1", true)
			fill(c, "doomed-2", false)
			fill(c, "stays", true)
		},
		Steps: []func(c *Case){
			func(c *Case) { remove[v1.Namespace](c, "", "doomed-1", "") },
			func(c *Case) { remove[v1.Namespace](c, "", "doomed-2", "") },
			func(c *Case) { // made again, while the controller may still know the old one
				if _, err := c.Server.Create("user", toObject(&v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "doomed-2"}})); err == nil {
					_, _ = c.Server.Create("user", toObject(&v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "doomed-2", Name: "new"}}))
				}
			},
			func(c *Case) {
				edit[v1.ConfigMap](c, "user", "doomed-1", "kept", func(m *v1.ConfigMap) { m.Finalizers = nil })
			},
		},
		Check: func(c *Case, e memapi.Event) {
			if e.Actor != "namespace-controller" || e.Object.GetDeletionTimestamp() == nil || e.Old == nil || e.Old.GetDeletionTimestamp() != nil {
				return
			}
			home := c.Server.Peek("", "namespaces", "", e.Object.GetNamespace())
			switch {
			case !doomed(e.Object.GetNamespace()) || home == nil || home.GetDeletionTimestamp() == nil:
				c.Wrong("%s %s/%s is deleted, whose namespace is not being deleted", e.Kind.Kind, e.Object.GetNamespace(), e.Object.GetName())
			case e.Kind.Resource != "pods":
				c.Server.Each("", "pods", func(p *memapi.Object) {
					if p.GetNamespace() == e.Object.GetNamespace() {
						c.Wrong("%s %s/%s is deleted while pods run there", e.Kind.Kind, e.Object.GetNamespace(), e.Object.GetName())
					}
				})
			}
		},
		Done: func(c *Case) error {
			for _, n := range all[v1.Namespace](c) {
				if n.DeletionTimestamp != nil {
					return fmt.Errorf("namespace %s is still there", n.Name)
				}
			}
			left := 0
			for _, m := range all[v1.ConfigMap](c) {
				if c.Server.Peek("", "namespaces", "", m.Namespace) == nil {
					return fmt.Errorf("ConfigMap %s/%s is left without its namespace", m.Namespace, m.Name)
				}
				if m.Namespace == "stays" {
					left++
				}
			}
			return missing("ConfigMaps of the namespace that stays", left, 2)
		},
	}
}

// lostPods are pods that nobody else deletes.
func lostPods() World {
	// deletedAt is when a node was last deleted.
	deletedAt := map[string]time.Time{}
	pod := func(name, node string, phase v1.PodPhase) *v1.Pod {
		p := &v1.Pod{ObjectMeta: meta(name), Spec: template("x").Spec, Status: v1.PodStatus{Phase: phase}}
		p.Spec.NodeName = node
		return p
	}
	removeNode := func(name string) func(c *Case) {
		return func(c *Case) { deletedAt[name] = time.Now(); remove[v1.Node](c, "", name, "") }
	}
	add := func(name string) func(c *Case) {
		return func(c *Case) {
			node := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
			setReady(node, v1.ConditionTrue)
			c.Make(node)
		}
	}
	return World{
		Begin: func(c *Case) {
			c.makeNodes(3)
			c.Make(pod("a", "n1", v1.PodRunning), pod("b", "n2", v1.PodRunning), pod("c", "n3", v1.PodRunning), pod("d", "n3", v1.PodRunning))
		},
		Steps: []func(c *Case){
			removeNode("n2"), loseNode("n3"), add("n2"), removeNode("n1"), add("n4"),
			func(c *Case) { c.Make(pod("e", "n4", v1.PodRunning)) }, // on a node the cache may not have yet
			func(c *Case) { // another pod of a name that the controller is about to delete
				zero := int64(0)
				_, _ = c.Server.Delete("user", resourceOf[v1.Pod](c.Server), ns, "a", metav1.DeleteOptions{GracePeriodSeconds: &zero})
				_, _ = c.Server.Create("setup", toObject(pod("a", "n4", v1.PodRunning)))
			},
			func(c *Case) { remove[v1.Pod](c, ns, "c", "") },
			func(c *Case) {
				edit[v1.Node](c, "user", "", "n3", func(n *v1.Node) {
					setReady(n, v1.ConditionUnknown)
					n.Spec.Taints = []v1.Taint{{Key: v1.TaintNodeOutOfService, Effect: v1.TaintEffectNoExecute}}
				})
			},
		},
		Check: func(c *Case, e memapi.Event) {
			if e.Kind.Resource != "pods" || e.Actor != "pod-garbage-collector" || e.Type != "DELETED" {
				return
			}
			pod := typed[v1.Pod](e.Old)
			node := one[v1.Node](c, "", pod.Spec.NodeName)
			switch {
			case node == nil && !time.Now().Before(deletedAt[pod.Spec.NodeName].Add(40*time.Second)):
			case node == nil:
				c.Wrong("pod %s is deleted %v after its node %s", pod.Name, time.Since(deletedAt[pod.Spec.NodeName]), pod.Spec.NodeName)
			case pod.DeletionTimestamp == nil || len(node.Spec.Taints) == 0:
				c.Wrong("pod %s is deleted, whose node %s is there", pod.Name, node.Name)
			}
		},
		Done: func(c *Case) error {
			var left []string
			for _, p := range all[v1.Pod](c) {
				left = append(left, p.Name)
			}
			// Pod b stays if its node came back before the controller was sure, and goes otherwise.
			left = slices.DeleteFunc(left, func(name string) bool { return name == "b" })
			return missing("pods", left, []string{"a", "d", "e"})
		},
	}
}

func aggregatedRoles() World {
	role := func(name, verb string) *rbacv1.ClusterRole {
		return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"to": "all"}}, Rules: []rbacv1.PolicyRule{{Verbs: []string{verb}, APIGroups: []string{""}, Resources: []string{"pods"}}}}
	}
	return World{
		Begin: func(c *Case) {
			c.Make(role("a", "get"), role("b", "list"), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "sum"}, AggregationRule: &rbacv1.AggregationRule{
				ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"to": "all"}}},
			}})
		},
		Steps: []func(c *Case){
			func(c *Case) { c.Make(role("c", "watch")) },
			func(c *Case) {
				edit[rbacv1.ClusterRole](c, "user", "", "a", func(r *rbacv1.ClusterRole) { r.Rules[0].Verbs = []string{"create"} })
			},
			func(c *Case) { remove[rbacv1.ClusterRole](c, "", "b", "") },
			func(c *Case) {
				edit[rbacv1.ClusterRole](c, "user", "", "sum", func(r *rbacv1.ClusterRole) { r.Rules = nil })
			},
		},
		Check: func(c *Case, e memapi.Event) {
			if e.Actor == "clusterrole-aggregation-controller" && e.Object.GetName() != "sum" {
				c.Wrong("ClusterRole %s is written, which gathers nothing", e.Object.GetName())
			}
		},
		Done: func(c *Case) error {
			var verbs []string
			for _, r := range one[rbacv1.ClusterRole](c, "", "sum").Rules {
				verbs = append(verbs, r.Verbs...)
			}
			return missing("verbs", verbs, []string{"create", "watch"})
		},
	}
}

func service(name, app string) *v1.Service {
	return &v1.Service{ObjectMeta: meta(name), Spec: v1.ServiceSpec{
		Selector: map[string]string{"app": app}, ClusterIP: "10.0.0.9", ClusterIPs: []string{"10.0.0.9"}, IPFamilies: []v1.IPFamily{v1.IPv4Protocol},
		Ports: []v1.ServicePort{{Name: "http", Port: 80, Protocol: v1.ProtocolTCP, TargetPort: intstr.FromInt32(8080)}},
	}}
}

// serving are the steps of a Service whose pods come and go.
func serving() []func(c *Case) {
	return []func(c *Case){
		scaleReplicaSet("web", 6), deletePodOf("web"), relabelPodOf("web"),
		func(c *Case) {
			edit[v1.Service](c, "user", ns, "web", func(s *v1.Service) { s.Spec.Ports[0].TargetPort = intstr.FromInt32(9090) })
		},
		func(c *Case) { remove[v1.Service](c, ns, "gone", "") }, deletePodOf("web"),
		func(c *Case) { c.Make(service("gone", "web")) }, scaleReplicaSet("web", 3), deletePodOf("web"),
	}
}

func beginServing(c *Case) {
	c.makeNodes(3)
	c.Make(service("web", "web"), service("gone", "web"), replicaSet("web", 4))
}

// backends are the addresses of the ready pods, sorted.
func backends(c *Case) []string {
	var out []string
	for _, pod := range all[v1.Pod](c) {
		if pod.Labels["app"] == "web" && active(pod) && podReady(pod) {
			out = append(out, pod.Status.PodIP)
		}
	}
	slices.Sort(out)
	return out
}

func serviceEndpoints() World {
	return World{
		With: []string{"replicaset-controller"}, Begin: beginServing, Steps: serving(),
		Done: func(c *Case) error {
			for _, name := range []string{"web", "gone"} {
				e := one[v1.Endpoints](c, ns, name)
				if e == nil {
					return fmt.Errorf("no Endpoints %s", name)
				}
				port := map[string]int32{"web": 9090, "gone": 8080}[name]
				var have []string
				for _, s := range e.Subsets {
					if s.Ports[0].Port != port {
						return fmt.Errorf("port %d of %s", s.Ports[0].Port, name)
					}
					for _, a := range s.Addresses {
						have = append(have, a.IP)
					}
				}
				slices.Sort(have)
				if err := missing("addresses of "+name, have, backends(c)); err != nil {
					return err
				}
			}
			return missing("backends", len(backends(c)), 3)
		},
	}
}

func serviceSlices() World {
	return World{
		With: []string{"replicaset-controller"}, Begin: beginServing, Steps: serving(),
		Check: func(c *Case, e memapi.Event) {
			if e.Kind.Resource != "endpointslices" || e.Old != nil {
				return
			}
			// 7 pods fit into one slice: a second one of a Service's port is a double.
			seen := map[string]string{}
			for _, s := range all[discoveryv1.EndpointSlice](c) {
				if len(s.Endpoints) == 0 || s.DeletionTimestamp != nil {
					continue
				}
				key := s.Labels[discoveryv1.LabelServiceName] + fmt.Sprint(*s.Ports[0].Port) + string(controllerUID(s))
				if other := seen[key]; other != "" {
					c.Wrong("slices %s and %s are of the same Service and port", other, s.Name)
				}
				seen[key] = s.Name
			}
		},
		Done: func(c *Case) error {
			for _, name := range []string{"web", "gone"} {
				svc := one[v1.Service](c, ns, name)
				port := map[string]int32{"web": 9090, "gone": 8080}[name]
				var have []string
				for _, s := range all[discoveryv1.EndpointSlice](c) {
					if controllerUID(s) != svc.UID {
						continue
					}
					for _, end := range s.Endpoints {
						if *s.Ports[0].Port != port {
							return fmt.Errorf("port %d of %s", *s.Ports[0].Port, name)
						}
						have = append(have, end.Addresses...)
					}
				}
				slices.Sort(have)
				if err := missing("addresses of "+name, have, backends(c)); err != nil {
					return err
				}
			}
			return missing("backends", len(backends(c)), 3)
		},
	}
}

func quotas() World {
	return World{
		With: []string{"replicaset-controller"},
		Begin: func(c *Case) {
			c.makeNodes(2)
			c.Make(replicaSet("web", 4), &v1.ConfigMap{ObjectMeta: meta("m")}, &v1.ResourceQuota{ObjectMeta: meta("q"), Spec: v1.ResourceQuotaSpec{Hard: v1.ResourceList{
				v1.ResourcePods: quantity("20"), v1.ResourceConfigMaps: quantity("10"), "count/replicasets.apps": quantity("5"),
			}}})
		},
		Steps: []func(c *Case){
			deletePodOf("web"), scaleReplicaSet("web", 6), func(c *Case) { c.Make(&v1.ConfigMap{ObjectMeta: meta("m2")}, replicaSet("api", 1)) }, scaleReplicaSet("web", 2),
			func(c *Case) { remove[v1.ConfigMap](c, ns, "m", "") },
			func(c *Case) {
				edit[v1.ResourceQuota](c, "user", ns, "q", func(q *v1.ResourceQuota) { q.Spec.Hard[v1.ResourcePods] = quantity("15") })
			},
			scaleReplicaSet("web", 3),
		},
		Done: func(c *Case) error {
			q := one[v1.ResourceQuota](c, ns, "q")
			used := func(name v1.ResourceName) string { n := q.Status.Used[name]; return n.String() }
			hard := q.Status.Hard[v1.ResourcePods]
			return inOrder(missing("pods", used(v1.ResourcePods), "4"), missing("configmaps", used(v1.ResourceConfigMaps), "1"), missing("ReplicaSets", used("count/replicasets.apps"), "2"), missing("hard", hard.String(), "15"))
		},
	}
}

func podRanges() World {
	add := func(name string) func(c *Case) {
		return func(c *Case) { c.Make(&v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}) }
	}
	drop := func(name string) func(c *Case) { return func(c *Case) { remove[v1.Node](c, "", name, "") } }
	return World{
		Begin: func(c *Case) { c.makeNodes(3) },
		Steps: []func(c *Case){add("n4"), drop("n2"), add("n5"), add("n2"), drop("n1"), add("n6"), add("n7")},
		Check: func(c *Case, e memapi.Event) {
			if e.Actor != "node-controller" || e.Kind.Resource != "nodes" {
				return
			}
			seen := map[string]string{}
			for _, n := range all[v1.Node](c) {
				if other := seen[n.Spec.PodCIDR]; other != "" && n.Spec.PodCIDR != "" {
					c.Wrong("nodes %s and %s have the range %s", other, n.Name, n.Spec.PodCIDR)
				}
				seen[n.Spec.PodCIDR] = n.Name
			}
			if before := typed[v1.Node](e.Old); before.Spec.PodCIDR != "" && typed[v1.Node](e.Object).Spec.PodCIDR != before.Spec.PodCIDR {
				c.Wrong("the range of node %s changes", before.Name)
			}
		},
		Done: func(c *Case) error {
			for _, n := range all[v1.Node](c) {
				if n.Spec.PodCIDR == "" || len(n.Spec.PodCIDRs) != 1 {
					return fmt.Errorf("node %s has no range", n.Name)
				}
			}
			return missing("nodes", len(all[v1.Node](c)), 6)
		},
	}
}

func nodeHealth() World {
	return World{
		Begin: func(c *Case) {
			c.Make(&v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1.NamespaceNodeLease}})
			c.Nodes.Heartbeats = true
			c.makeNodes(6)
			for i := range 6 {
				p := &v1.Pod{ObjectMeta: meta(fmt.Sprintf("p%d", i+1)), Spec: template("x").Spec, Status: v1.PodStatus{Phase: v1.PodRunning, Conditions: []v1.PodCondition{{Type: v1.PodReady, Status: v1.ConditionTrue}}}}
				p.Spec.NodeName = fmt.Sprintf("n%d", i+1)
				c.Make(p)
			}
		},
		Steps: []func(c *Case){loseNode("n1"), loseNode("n2"), healNode("n1"), func(c *Case) { remove[v1.Node](c, "", "n3", "") }},
		Done: func(c *Case) error {
			for _, n := range all[v1.Node](c) {
				lost := c.Nodes.Lost[n.Name]
				tainted := slices.ContainsFunc(n.Spec.Taints, func(t v1.Taint) bool { return t.Key == v1.TaintNodeUnreachable && t.Effect == v1.TaintEffectNoExecute })
				if err := inOrder(missing("ready: "+n.Name, ready(n), !lost), missing("tainted: "+n.Name, tainted, lost)); err != nil {
					return err
				}
				if p := one[v1.Pod](c, ns, "p"+n.Name[1:]); lost && podReady(p) {
					return fmt.Errorf("pod %s is ready, on a node that is lost", p.Name)
				}
			}
			return nil
		},
	}
}

func taintedNodes() World {
	taint := func(node string, on bool) func(c *Case) {
		return func(c *Case) {
			edit[v1.Node](c, "user", "", node, func(n *v1.Node) {
				n.Spec.Taints = nil
				if on {
					now := metav1.Now()
					n.Spec.Taints = []v1.Taint{{Key: "bad", Effect: v1.TaintEffectNoExecute, TimeAdded: &now}}
				}
			})
		}
	}
	// tainted is since when a node has been tainted without a pause.
	since := map[string]time.Time{}
	pod := func(name, node string, seconds int64) *v1.Pod {
		p := &v1.Pod{ObjectMeta: meta(name), Spec: template("x").Spec, Status: v1.PodStatus{Phase: v1.PodRunning}}
		p.Spec.NodeName = node
		if seconds >= 0 {
			p.Spec.Tolerations = []v1.Toleration{{Key: "bad", Operator: v1.TolerationOpExists, TolerationSeconds: &seconds}}
		}
		if seconds == 0 {
			p.Spec.Tolerations[0].TolerationSeconds = nil
		}
		return p
	}
	return World{
		Begin: func(c *Case) {
			c.makeNodes(3)
			c.Make(pod("soon", "n1", -1), pod("later", "n1", 60), pod("never", "n1", 0), pod("safe", "n2", -1), pod("back", "n3", 100000))
		},
		Steps: []func(c *Case){taint("n3", true), taint("n1", true), taint("n3", false), func(c *Case) { c.Make(pod("late", "n1", -1)) }},
		Check: func(c *Case, e memapi.Event) {
			if e.Kind.Resource == "nodes" {
				if len(typed[v1.Node](e.Object).Spec.Taints) == 0 {
					delete(since, e.Object.GetName())
				} else if since[e.Object.GetName()].IsZero() {
					since[e.Object.GetName()] = time.Now()
				}
			}
			if p := condemned(e, "node-controller"); p != nil {
				switch p.Name {
				case "never", "safe", "back":
					c.Wrong("pod %s is evicted", p.Name)
				case "later":
					if time.Since(since["n1"]) < 59*time.Second {
						c.Wrong("pod %s is evicted after %v", p.Name, time.Since(since["n1"]))
					}
				}
			}
		},
		Done: func(c *Case) error {
			var left []string
			for _, p := range all[v1.Pod](c) {
				left = append(left, p.Name)
			}
			return missing("pods", left, []string{"back", "never", "safe"})
		},
	}
}
