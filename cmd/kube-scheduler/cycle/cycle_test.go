package cycle

import (
	"context"
	"fmt"
	"testing"

	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-scheduler/plugins"
	"pilotis.dev/cmd/kube-scheduler/snapshot"
)

func profile() *Profile {
	cpu := []plugins.Weighted{{Name: v1.ResourceCPU, Weight: 1}}
	fit := plugins.NodeResourcesFit{Strategy: plugins.LeastAllocated, Resources: cpu}
	return &Profile{
		Filters:    []plugins.Filterer{plugins.NodeUnschedulable{}, plugins.TaintToleration{}, plugins.NodeAffinity{}, plugins.NodePorts{}, fit, plugins.PodTopologySpread{}, plugins.InterPodAffinity{}},
		Scorers:    []WeightedScorer{{Scorer: fit, Weight: 1}, {Scorer: plugins.InterPodAffinity{HardWeight: 1}, Weight: 2}, {Scorer: plugins.TaintToleration{}, Weight: 3}},
		Preemption: true, MinCandidates: 100, MinCandidatePercent: 10,
	}
}

func decider() *Decider {
	return &Decider{Profile: profile(), Parallelism: 4, NamespaceLabels: func(string) labels.Set { return nil }}
}

type option func(*v1.Pod)

func pod(name string, milliCPU int64, options ...option) *v1.Pod {
	p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "d", UID: types.UID(name), Labels: map[string]string{"app": name}},
		Spec: v1.PodSpec{Containers: []v1.Container{{Resources: v1.ResourceRequirements{Requests: v1.ResourceList{v1.ResourceCPU: *resource.NewMilliQuantity(milliCPU, resource.DecimalSI)}}}}}}
	for _, o := range options {
		o(p)
	}
	return p
}

func prioritised(n int32) option { return func(p *v1.Pod) { p.Spec.Priority = ptr.To(n) } }

func node(name string, milliCPU int64, pods ...*v1.Pod) *snapshot.Node {
	return snapshot.NewNode(&v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{v1.LabelHostname: name}},
		Status: v1.NodeStatus{Allocatable: v1.ResourceList{v1.ResourceCPU: *resource.NewMilliQuantity(milliCPU, resource.DecimalSI), v1.ResourcePods: resource.MustParse("110")}}}, pods...)
}

func changed(n *snapshot.Node, change func(*v1.Node)) *snapshot.Node {
	change(n.Node)
	return n
}

func TestDecide(t *testing.T) {
	antiAffine := func(p *v1.Pod) {
		p.Spec.Affinity = &v1.Affinity{PodAntiAffinity: &v1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []v1.PodAffinityTerm{
			{TopologyKey: v1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}}}}
	}
	spread := func(p *v1.Pod) {
		p.Labels["app"] = "web"
		p.Spec.TopologySpreadConstraints = []v1.TopologySpreadConstraint{{TopologyKey: v1.LabelHostname, MaxSkew: 1, WhenUnsatisfiable: v1.DoNotSchedule,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}}
	}
	hostPort := func(p *v1.Pod) { p.Spec.Containers[0].Ports = []v1.ContainerPort{{HostPort: 80}} }
	only := func(name string) option {
		return func(p *v1.Pod) {
			p.Spec.Affinity = &v1.Affinity{NodeAffinity: &v1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{
				{MatchFields: []v1.NodeSelectorRequirement{{Key: "metadata.name", Operator: v1.NodeSelectorOpIn, Values: []string{name}}}}}}}}
		}
	}
	tests := []struct {
		name  string
		pod   *v1.Pod
		nodes []*snapshot.Node
		want  string
	}{
		{"the emptier node", pod("p", 100), []*snapshot.Node{node("a", 1000, pod("x", 600)), node("b", 1000)}, "node b (2 of 2 nodes evaluated passed)"},
		{"what does not fit says so, counted", pod("p", 900), []*snapshot.Node{node("a", 1000, pod("x", 600)), node("b", 1000, pod("y", 600))}, "0/2 nodes are available: 2 Insufficient cpu."},
		{"cordoned and tainted nodes are named apart", pod("p", 100), []*snapshot.Node{
			changed(node("a", 1000), func(n *v1.Node) { n.Spec.Unschedulable = true }),
			changed(node("b", 1000), func(n *v1.Node) { n.Spec.Taints = []v1.Taint{{Key: "k", Value: "v", Effect: v1.TaintEffectNoSchedule}} }),
		}, "0/2 nodes are available: 1 node(s) had untolerated taint {k: v}, 1 node(s) were unschedulable."},
		{"a host port once a node", pod("p", 100, hostPort), []*snapshot.Node{node("a", 1000, pod("x", 1, hostPort)), node("b", 1000)}, "node b (1 of 2 nodes evaluated passed)"},
		{"away from pods it does not want", pod("p", 100, antiAffine), []*snapshot.Node{node("a", 1000, pod("web", 1)), node("b", 1000, pod("x", 500))}, "node b (1 of 2 nodes evaluated passed)"},
		{"and from pods that do not want it", pod("web", 100), []*snapshot.Node{node("a", 1000, pod("x", 1, antiAffine)), node("b", 1000, pod("y", 500))}, "node b (1 of 2 nodes evaluated passed)"},
		{"spread over hosts", pod("p", 100, spread), []*snapshot.Node{node("a", 1000, pod("web", 1)), node("b", 1000, pod("x", 500))}, "node b (1 of 2 nodes evaluated passed)"},
		{"only the node that it names is asked", pod("p", 100, only("b")), []*snapshot.Node{node("a", 1000), node("b", 1000), node("c", 1000)}, "node b (1 of 1 nodes evaluated passed)"},
		{"no nodes", pod("p", 100), nil, "no nodes available to schedule pods"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decider().Decide(context.Background(), snapshot.NewPod(tt.pod), snapshot.New(tt.nodes...))
			if err != nil || got.String() != tt.want {
				t.Errorf("decision %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestPreempt(t *testing.T) {
	budget := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "d"}, Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "guarded"}}}}
	never := func(p *v1.Pod) { p.Spec.PreemptionPolicy = ptr.To(v1.PreemptNever) }
	tests := []struct {
		name  string
		pod   *v1.Pod
		nodes []*snapshot.Node
		want  string
	}{
		{"one pod of lower priority goes", pod("p", 500, prioritised(10)), []*snapshot.Node{node("a", 1000, pod("low", 600), pod("small", 300))}, "node a after 1 pods"},
		{"the node with the least important victim", pod("p", 500, prioritised(10)), []*snapshot.Node{node("a", 1000, pod("five", 900, prioritised(5))), node("b", 1000, pod("one", 900, prioritised(1)))}, "node b after 1 pods"},
		{"a budget is spared where another node does", pod("p", 500, prioritised(10)), []*snapshot.Node{node("a", 1000, pod("guarded", 900)), node("b", 1000, pod("free", 900, prioritised(3)))}, "node b after 1 pods"},
		{"equals are not displaced", pod("p", 500, prioritised(10)), []*snapshot.Node{node("a", 1000, pod("peer", 900, prioritised(10)))}, "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."},
		{"nor where it would not help", pod("p", 2000, prioritised(10)), []*snapshot.Node{node("a", 1000, pod("low", 900))}, "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."},
		{"nor by a pod that must not", pod("p", 500, prioritised(10), never), []*snapshot.Node{node("a", 1000, pod("low", 900))}, "preemption: not eligible due to preemptionPolicy=Never."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, p, s := decider(), snapshot.NewPod(tt.pod), snapshot.New(tt.nodes...)
			decision, err := d.Decide(context.Background(), p, s)
			if err != nil || decision.Failure == nil {
				t.Fatalf("the pod fits: %v %v", decision, err)
			}
			preemption, reason := d.Preempt(context.Background(), p, s, decision.Failure, []*policyv1.PodDisruptionBudget{budget})
			if preemption != nil {
				reason = preemption.String()
			}
			if reason != tt.want {
				t.Errorf("preemption %q, want %q", reason, tt.want)
			}
		})
	}
}

func BenchmarkDecide1000Nodes(b *testing.B) {
	var nodes []*snapshot.Node
	for i := range 1000 {
		nodes = append(nodes, node(fmt.Sprintf("n%04d", i), 4000, pod(fmt.Sprintf("x%d", i), 100)))
	}
	d, s, p := decider(), snapshot.New(nodes...), snapshot.NewPod(pod("p", 100))
	for b.Loop() {
		if _, err := d.Decide(context.Background(), p, s); err != nil {
			b.Fatal(err)
		}
	}
}
