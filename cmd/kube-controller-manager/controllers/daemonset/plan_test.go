package daemonset

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func daemon(surge, unavailable string) *appsv1.DaemonSet {
	labels := map[string]string{"app": "d"}
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "d", UID: "d"},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: v1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}},
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType, RollingUpdate: &appsv1.RollingUpdateDaemonSet{
				MaxSurge: ptr.To(intstr.Parse(surge)), MaxUnavailable: ptr.To(intstr.Parse(unavailable)),
			}},
		},
	}
}

func node(name string, taints ...v1.Taint) *v1.Node {
	return &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/hostname": name}}, Spec: v1.NodeSpec{Taints: taints}}
}

// world carries plans out and plays scheduler and kubelet.
type world struct {
	t     *testing.T
	ds    *appsv1.DaemonSet
	nodes []*v1.Node
	pods  []*v1.Pod
	hash  string
	made  int
}

func newWorld(t *testing.T, ds *appsv1.DaemonSet, nodes int) *world {
	w := &world{t: t, ds: ds, hash: "h1"}
	for i := range nodes {
		w.nodes = append(w.nodes, node(fmt.Sprint("n", i)))
	}
	return w
}

func (w *world) plan() Plan {
	return Decide(Input{DaemonSet: w.ds, Nodes: w.nodes, Pods: slices.Clone(w.pods), Hash: w.hash, BackOff: func(string) time.Duration { return 0 }, Now: now})
}

func (w *world) step() Plan {
	p := w.plan()
	for _, n := range p.Create {
		w.made++
		pod := newPod(w.ds, n, w.hash)
		pod.Name = fmt.Sprintf("p%d", w.made)
		pod.UID = types.UID(pod.Name)
		pod.CreationTimestamp = metav1.NewTime(now.Add(time.Duration(w.made-1000) * time.Second))
		pod.Status.Phase = v1.PodPending
		w.pods = append(w.pods, pod)
	}
	for _, pod := range p.Delete {
		at := metav1.NewTime(now)
		pod.DeletionTimestamp = &at
	}
	w.ds.Status = p.Status
	return p
}

func run(pod *v1.Pod) {
	pod.Spec.NodeName = targetOf(pod)
	pod.Status.Phase = v1.PodRunning
	pod.Status.Conditions = []v1.PodCondition{{Type: v1.PodReady, Status: v1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-time.Hour))}}
}

func (w *world) follow() (changed bool) {
	before := len(w.pods)
	w.pods = slices.DeleteFunc(w.pods, func(p *v1.Pod) bool { return p.DeletionTimestamp != nil })
	for _, pod := range w.pods {
		if pod.Status.Phase == v1.PodPending {
			run(pod)
			changed = true
		}
	}
	return changed || len(w.pods) != before
}

func (w *world) settle() {
	w.t.Helper()
	for range 200 {
		if text := w.step().String(); !w.follow() && text == "" {
			return
		}
	}
	w.t.Fatal("does not settle")
}

// serving counts nodes with a ready daemon.
func (w *world) serving() int {
	nodes := map[string]bool{}
	for _, pod := range w.pods {
		if pod.DeletionTimestamp == nil && pod.Status.Phase == v1.PodRunning {
			nodes[targetOf(pod)] = true
		}
	}
	return len(nodes)
}

func TestNodesThatFit(t *testing.T) {
	noSchedule := v1.Taint{Key: "k", Effect: v1.TaintEffectNoSchedule}
	noExecute := v1.Taint{Key: "k", Effect: v1.TaintEffectNoExecute}
	tolerate := func(s *v1.PodSpec) { s.Tolerations = []v1.Toleration{{Key: "k", Operator: v1.TolerationOpExists}} }
	for _, c := range []struct {
		why  string
		edit func(*v1.PodSpec)
		node *v1.Node
		want fit
	}{
		{"plain", nil, node("a"), fit{true, true}},
		{"other node name", func(s *v1.PodSpec) { s.NodeName = "b" }, node("a"), fit{}},
		{"node selector", func(s *v1.PodSpec) { s.NodeSelector = map[string]string{"x": "y"} }, node("a"), fit{}},
		{"affinity", func(s *v1.PodSpec) { s.Affinity = bindTo(nil, "b") }, node("a"), fit{}},
		{"affinity that fits", func(s *v1.PodSpec) { s.Affinity = bindTo(nil, "a") }, node("a"), fit{true, true}},
		{"NoSchedule", nil, node("a", noSchedule), fit{false, true}},
		{"NoExecute", nil, node("a", noExecute), fit{}},
		{"tolerated", tolerate, node("a", noSchedule, noExecute), fit{true, true}},
		{"node troubles", nil, node("a", v1.Taint{Key: v1.TaintNodeUnreachable, Effect: v1.TaintEffectNoExecute}, v1.Taint{Key: v1.TaintNodeUnschedulable, Effect: v1.TaintEffectNoSchedule},
			v1.Taint{Key: v1.TaintNodeDiskPressure, Effect: v1.TaintEffectNoSchedule}), fit{true, true}},
		{"no network", nil, node("a", v1.Taint{Key: v1.TaintNodeNetworkUnavailable, Effect: v1.TaintEffectNoSchedule}), fit{false, true}},
		{"no network for the host's", func(s *v1.PodSpec) { s.HostNetwork = true }, node("a", v1.Taint{Key: v1.TaintNodeNetworkUnavailable, Effect: v1.TaintEffectNoSchedule}), fit{true, true}},
	} {
		ds := daemon("0", "1")
		if c.edit != nil {
			c.edit(&ds.Spec.Template.Spec)
		}
		if got := newFits(ds).of(c.node); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.why, got, c.want)
		}
	}
}

func TestADaemonIsHeldToItsNode(t *testing.T) {
	ds := daemon("0", "1")
	ds.Spec.Template.Spec.Affinity = &v1.Affinity{NodeAffinity: &v1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []v1.PreferredSchedulingTerm{{Weight: 1}}}}
	pod := newPod(ds, "n7", "h")
	if targetOf(pod) != "n7" || pod.Spec.NodeName != "" || len(pod.Spec.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution) != 1 {
		t.Errorf("pod %+v", pod.Spec.Affinity)
	}
	if ds.Spec.Template.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		t.Error("the template was changed")
	}
	if pod.Labels[appsv1.ControllerRevisionHashLabelKey] != "h" {
		t.Errorf("labels %v", pod.Labels)
	}
}

func TestOneDaemonANode(t *testing.T) {
	w := newWorld(t, daemon("0", "1"), 3)
	w.settle()
	if s := w.ds.Status; s.DesiredNumberScheduled != 3 || s.NumberReady != 3 || s.NumberAvailable != 3 || s.UpdatedNumberScheduled != 3 || s.NumberUnavailable != 0 {
		t.Fatalf("status %+v", s)
	}
	double := w.pods[0].DeepCopy()
	double.Name, double.CreationTimestamp = "double", metav1.NewTime(now)
	w.pods = append(w.pods, double)
	if p := w.step(); p.String() != "delete double on n0\n" {
		t.Errorf("plan %q, want the younger of two to go", p)
	}
	w.follow()
	w.nodes = append(w.nodes, node("new"))
	if p := w.step(); p.String() != "create on new\n" {
		t.Errorf("plan %q", p)
	}
	w.nodes[1].Spec.Taints = []v1.Taint{{Key: "gone", Effect: v1.TaintEffectNoExecute}}
	if p := w.step(); !strings.Contains(p.String(), "on n1") || w.ds.Status.NumberMisscheduled != 1 {
		t.Errorf("plan %q, status %+v", p, w.ds.Status)
	}
}

func TestEndedDaemonsAreReplacedWithBackOff(t *testing.T) {
	w := newWorld(t, daemon("0", "1"), 1)
	w.settle()
	w.pods[0].Status.Phase = v1.PodFailed
	in := Input{DaemonSet: w.ds, Nodes: w.nodes, Pods: w.pods, Hash: w.hash, BackOff: func(string) time.Duration { return time.Minute }, Now: now}
	if p := Decide(in); p.String() != "" || p.Wake != time.Minute {
		t.Errorf("plan %q, wakes after %v: want to wait a minute", p, p.Wake)
	}
	in.BackOff = func(string) time.Duration { return 0 }
	if p := Decide(in); len(p.Ended) != 1 || len(p.Delete) != 1 || len(p.Create) != 0 {
		t.Errorf("plan %q", p)
	}
}

func TestAnEndedDaemonThatIsHeldByAFinalizerIsReplaced(t *testing.T) {
	w := newWorld(t, daemon("0", "1"), 1)
	w.settle()
	at := metav1.NewTime(now)
	w.pods[0].DeletionTimestamp = &at
	if p := w.plan(); p.String() != "" {
		t.Errorf("plan %q while the old daemon runs", p)
	}
	w.pods[0].Status.Phase = v1.PodFailed
	if p := w.plan(); p.String() != "create on n0\n" || p.Status.CurrentNumberScheduled != 0 {
		t.Errorf("plan %q, status %+v", p, p.Status)
	}
}

func TestPendingDaemonsOfGoneNodesAreDeleted(t *testing.T) {
	w := newWorld(t, daemon("0", "1"), 2)
	w.step()
	w.nodes = w.nodes[:1]
	if p := w.step(); p.String() != "delete p2 on n1\n" {
		t.Errorf("plan %q", p)
	}
}

func TestOnDeleteWaitsForTheUser(t *testing.T) {
	w := newWorld(t, daemon("0", "1"), 2)
	w.ds.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}
	w.settle()
	w.hash = "h2"
	if p := w.step(); p.String() != "" || w.ds.Status.UpdatedNumberScheduled != 0 {
		t.Errorf("plan %q", p)
	}
}

func TestABrokenUpdateStopsAtItsLimit(t *testing.T) {
	w := newWorld(t, daemon("0", "2"), 6)
	w.settle()
	w.hash = "h2"
	for range 10 { // new pods are created, and never run
		w.step()
		w.pods = slices.DeleteFunc(w.pods, func(p *v1.Pod) bool { return p.DeletionTimestamp != nil })
	}
	if n := w.serving(); n != 4 {
		t.Errorf("%d nodes serve, want 4 of 6", n)
	}
}

// Random updates: with surge, no node is ever without a serving daemon, and without it no more than maxUnavailable are; in the
// end each node has one daemon of the last template.
func TestRandomUpdates(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 4))
		surge, unavailable, limit := "0", "30%", 3
		if seed%2 == 0 {
			surge, unavailable, limit = "20%", "0", 0
		}
		w := newWorld(t, daemon(surge, unavailable), 10)
		w.settle()
		for i := range 60 {
			if random.IntN(10) == 0 {
				w.hash = fmt.Sprint("h", i)
			}
			w.step()
			if n := w.serving(); n < 10-limit {
				t.Fatalf("seed %d: only %d of 10 nodes serve", seed, n)
			}
			if random.IntN(2) == 0 {
				w.follow()
			}
		}
		w.settle()
		w.follow()
		if len(w.pods) != 10 {
			t.Fatalf("seed %d: %d pods", seed, len(w.pods))
		}
		for _, pod := range w.pods {
			if pod.Labels[appsv1.ControllerRevisionHashLabelKey] != w.hash {
				t.Fatalf("seed %d: %s is old", seed, pod.Name)
			}
		}
	}
}
