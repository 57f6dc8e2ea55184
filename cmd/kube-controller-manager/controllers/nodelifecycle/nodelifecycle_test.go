package nodelifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
	"pilotis.dev/cmd/kube-controller-manager/controllers/pods"
)

func node(name string, conditions ...v1.NodeCondition) *v1.Node {
	return &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: v1.NodeStatus{Conditions: conditions}}
}

func is(kind v1.NodeConditionType, status v1.ConditionStatus) v1.NodeCondition {
	return v1.NodeCondition{Type: kind, Status: status, LastHeartbeatTime: metav1.Now()}
}

// texts are the taints as users read them, without the prefix that all of ours have.
func texts(taints []v1.Taint) string {
	var out []string
	for _, t := range taints {
		out = append(out, strings.TrimPrefix(t.Key, "node.kubernetes.io/")+":"+string(t.Effect))
	}
	return strings.Join(out, " ")
}

func TestTaintsFollowConditions(t *testing.T) {
	with := func(n *v1.Node, taints ...v1.Taint) *v1.Node { n.Spec.Taints = taints; return n }
	cordoned := node("n", is(v1.NodeReady, v1.ConditionTrue))
	cordoned.Spec.Unschedulable = true
	users := v1.Taint{Key: "example.org/mine", Effect: v1.TaintEffectNoExecute}
	unreachable := v1.Taint{Key: v1.TaintNodeUnreachable, Effect: v1.TaintEffectNoExecute}
	for _, tt := range []struct {
		name string
		node *v1.Node
		e    eviction
		want string
	}{
		{"ready", with(node("n", is(v1.NodeReady, v1.ConditionTrue)), unreachable, users), evictNothing, "example.org/mine:NoExecute"},
		{"users' of our keys", with(node("n", is(v1.NodeReady, v1.ConditionTrue), is(v1.NodeMemoryPressure, v1.ConditionTrue)),
			v1.Taint{Key: v1.TaintNodeMemoryPressure, Effect: v1.TaintEffectNoExecute}, v1.Taint{Key: v1.TaintNodeNotReady, Effect: v1.TaintEffectPreferNoSchedule}),
			evictNothing, "memory-pressure:NoExecute not-ready:PreferNoSchedule memory-pressure:NoSchedule"},
		{"cordoned", cordoned, evictNothing, "unschedulable:NoSchedule"},
		{"new", node("n"), evictAsIs, "not-ready:NoSchedule"},
		{"not ready, before its turn", node("n", is(v1.NodeReady, v1.ConditionFalse)), evictAsIs, "not-ready:NoSchedule"},
		{"not ready, at its turn", node("n", is(v1.NodeReady, v1.ConditionFalse)), evictNow, "not-ready:NoSchedule not-ready:NoExecute"},
		{"silent", node("n", is(v1.NodeReady, v1.ConditionUnknown)), evictNow, "unreachable:NoSchedule unreachable:NoExecute"},
		{"heard of again, not ready: what it has is exchanged", with(node("n", is(v1.NodeReady, v1.ConditionFalse)), unreachable), evictAsIs, "not-ready:NoSchedule not-ready:NoExecute"},
		{"everything is down", with(node("n", is(v1.NodeReady, v1.ConditionUnknown)), unreachable), evictNothing, "unreachable:NoSchedule"},
		{"pressures", node("n", is(v1.NodeReady, v1.ConditionTrue), is(v1.NodeMemoryPressure, v1.ConditionTrue), is(v1.NodeDiskPressure, v1.ConditionTrue),
			is(v1.NodePIDPressure, v1.ConditionTrue), is(v1.NodeNetworkUnavailable, v1.ConditionTrue)), evictNothing,
			"memory-pressure:NoSchedule disk-pressure:NoSchedule pid-pressure:NoSchedule network-unavailable:NoSchedule"},
		{"pressures unknown", node("n", is(v1.NodeReady, v1.ConditionTrue), is(v1.NodeMemoryPressure, v1.ConditionUnknown)), evictNothing, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := texts(Taints(tt.node, tt.e, time.Now())); got != tt.want {
				t.Errorf("taints %q, want %q", got, tt.want)
			}
		})
	}
}

func TestATaintThatIsThereKeepsItsTime(t *testing.T) {
	before := metav1.NewTime(time.Unix(1000, 0))
	n := node("n", is(v1.NodeReady, v1.ConditionUnknown))
	n.Spec.Taints = []v1.Taint{{Key: v1.TaintNodeUnreachable, Effect: v1.TaintEffectNoExecute, TimeAdded: &before}}
	for _, taint := range Taints(n, evictAsIs, time.Unix(2000, 0)) {
		if taint.Effect == v1.TaintEffectNoExecute && !taint.TimeAdded.Equal(&before) {
			t.Errorf("the taint's time is %v: tolerations would be counted anew", taint.TimeAdded)
		}
	}
}

func TestLabelsKeepTheirFormerNames(t *testing.T) {
	n := node("n")
	n.Labels = map[string]string{v1.LabelOSStable: "linux", v1.LabelArchStable: "amd64", "beta.kubernetes.io/arch": "amd64"}
	if got := fmt.Sprint(Labels(n)); got != "map[beta.kubernetes.io/os:linux]" {
		t.Errorf("missing labels %s", got)
	}
}

func TestRatesOfZones(t *testing.T) {
	z := zones{config: Config{EvictionRate: 0.1, SecondaryRate: 0.01, LargeCluster: 50, UnhealthyShare: 0.55}}
	for _, tt := range []struct {
		name  string
		count count
		want  float32
	}{
		{"healthy", count{ready: 9, notReady: 1}, 0.1},
		{"two of two that count as few", count{ready: 1, notReady: 2}, 0.1},
		{"most of a small zone", count{ready: 4, notReady: 6}, 0},
		{"most of a large zone", count{ready: 20, notReady: 40}, 0.01},
		{"all of a zone, among others that are up", count{notReady: 10}, 0.1},
	} {
		if got := z.rate(tt.count); got != float64(tt.want) {
			t.Errorf("%s: %v nodes a second, want %v", tt.name, got, tt.want)
		}
	}
}

// cluster is a running controller with nodes that send heartbeats or fell silent.
type cluster struct {
	*lab.Lab
	t      *testing.T
	silent sync.Map // names of nodes whose kubelets do not run
}

// run starts the controller, and a kubelet that renews its Lease every ten seconds for each node.
func run(t *testing.T, nodes []*v1.Node, objects ...*v1.Pod) *cluster {
	c := &cluster{Lab: lab.New(t), t: t}
	ctx, cancel := context.WithCancel(t.Context())
	for _, n := range nodes {
		if _, err := c.Client.CoreV1().Nodes().Create(ctx, n, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: v1.NamespaceNodeLease, Name: n.Name}}
		if _, err := c.Client.CoordinationV1().Leases(v1.NamespaceNodeLease).Create(ctx, lease, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range objects {
		if _, err := c.Client.CoreV1().Pods(p.Namespace).Create(ctx, p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	loop := New(c.Informers, c.Client, c.Events, Config{MonitorPeriod: 5 * time.Second, MonitorGracePeriod: 50 * time.Second, StartupGracePeriod: time.Minute,
		EvictionRate: 0.1, SecondaryRate: 0.01, LargeCluster: 50, UnhealthyShare: 0.55, Clock: clock.RealClock{}, Workers: 2})
	c.Informers.StartWithContext(ctx)
	var group sync.WaitGroup
	group.Go(func() { loop.Run(ctx) })
	group.Go(func() {
		for tick := time.NewTicker(10 * time.Second); ctx.Err() == nil; {
			select {
			case <-ctx.Done():
			case <-tick.C:
				c.beat(ctx, nodes)
			}
		}
	})
	t.Cleanup(func() { cancel(); group.Wait(); c.Informers.Shutdown() })
	return c
}

func (c *cluster) beat(ctx context.Context, nodes []*v1.Node) {
	for _, n := range nodes {
		if _, silent := c.silent.Load(n.Name); silent {
			continue
		}
		lease, err := c.Client.CoordinationV1().Leases(v1.NamespaceNodeLease).Get(ctx, n.Name, metav1.GetOptions{})
		if err != nil {
			continue
		}
		now := metav1.NowMicro()
		lease.Spec.RenewTime = &now
		if _, err := c.Client.CoordinationV1().Leases(v1.NamespaceNodeLease).Update(ctx, lease, metav1.UpdateOptions{}); err != nil {
			c.t.Error(err)
		}
		// A kubelet that runs posts a status that is not what the controller made of its silence.
		n, err := c.Client.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{})
		if err != nil || isReady(n) || conditionOf(n, v1.NodeReady) == nil {
			continue
		}
		for i := range n.Status.Conditions {
			n.Status.Conditions[i].Status = map[bool]v1.ConditionStatus{true: v1.ConditionTrue, false: v1.ConditionFalse}[n.Status.Conditions[i].Type == v1.NodeReady]
		}
		if _, err := c.Client.CoreV1().Nodes().UpdateStatus(ctx, n, metav1.UpdateOptions{}); err != nil {
			c.t.Error(err)
		}
	}
}

// after waits for d and then for everything to come to rest.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (c *cluster) taints(name string) string {
	c.t.Helper()
	n, err := c.Client.CoreV1().Nodes().Get(c.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return texts(n.Spec.Taints)
}

// evicted counts the nodes whose pods are to go.
func (c *cluster) evicted() int {
	c.t.Helper()
	all, err := c.Client.CoreV1().Nodes().List(c.t.Context(), metav1.ListOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	count := 0
	for i := range all.Items {
		if evicting(&all.Items[i]) {
			count++
		}
	}
	return count
}

func readyNodes(count int, zone string) []*v1.Node {
	var nodes []*v1.Node
	for i := range count {
		n := node(fmt.Sprintf("%s%d", zone, i), is(v1.NodeReady, v1.ConditionTrue))
		n.Labels = map[string]string{v1.LabelTopologyZone: zone}
		nodes = append(nodes, n)
	}
	return nodes
}

func TestASilentNodeIsUnreachableAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: "p"}, Spec: v1.PodSpec{NodeName: "a0"},
			Status: v1.PodStatus{Conditions: []v1.PodCondition{{Type: v1.PodReady, Status: v1.ConditionTrue}}}}
		c := run(t, readyNodes(3, "a"), pod)
		after(5 * time.Minute)
		if got := c.taints("a0"); got != "" {
			t.Fatalf("a node that sends heartbeats has taints %s", got)
		}
		c.silent.Store("a0", true)
		after(45 * time.Second)
		if got := c.taints("a0"); got != "" {
			t.Errorf("taints %s within the grace period", got)
		}
		after(25 * time.Second)
		if got, want := c.taints("a0"), "unreachable:NoSchedule unreachable:NoExecute"; got != want {
			t.Errorf("taints %s of a silent node, want %s", got, want)
		}
		p, err := c.Client.CoreV1().Pods("d").Get(t.Context(), "p", metav1.GetOptions{})
		if err != nil || p.Status.Conditions[0].Status != v1.ConditionFalse {
			t.Errorf("its pod is %v (%v), want not ready", p.Status.Conditions, err)
		}
		c.silent.Delete("a0")
		after(20 * time.Second)
		if got := c.taints("a0"); got != "" {
			t.Errorf("taints %s after it came back", got)
		}
		events := c.Recorded()
		for _, want := range []string{"Normal RegisteredNode Node a0 event: Registered Node a0 in Controller", "Normal NodeNotReady Node a0 status is now: NodeNotReady", "Warning NodeNotReady Node is not ready"} {
			if n := len(slices.DeleteFunc(slices.Clone(events), func(e string) bool { return e != want })); n != 1 {
				t.Errorf("event %q was told %d times", want, n)
			}
		}
	})
}

// sick makes a node not ready whose kubelet lives, and stays so until it falls silent.
func (c *cluster) sick(name string) {
	c.t.Helper()
	c.silent.Store(name, true)
	n, err := c.Client.CoreV1().Nodes().Get(c.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	n.Status.Conditions[0].Status = v1.ConditionFalse
	if _, err := c.Client.CoreV1().Nodes().UpdateStatus(c.t.Context(), n, metav1.UpdateOptions{}); err != nil {
		c.t.Fatal(err)
	}
	after(10 * time.Second)
}

func runs(name, node string) *v1.Pod {
	p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: name}}
	lab.Running(node)(p)
	return p
}

func (c *cluster) ready(name string) bool { return pods.Ready(c.Pods()[name]) }

func TestAPodIsToldOnceThatItsNodeIsNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := run(t, readyNodes(3, "a"), runs("p", "a0"))
		after(time.Minute)
		c.sick("a0")
		if c.ready("p") {
			t.Fatal("a pod of a node that is not ready is ready")
		}
		c.SetPod(t, c.Pods()["p"], lab.Running("a0")) // its kubelet sees that it works
		if _, err := c.Client.CoreV1().Pods("d").Create(t.Context(), runs("new", "a0"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		after(20 * time.Second)
		if !c.ready("p") || c.ready("new") {
			t.Errorf("ready: the pod that its kubelet vouches for %v, one that was bound since %v", c.ready("p"), c.ready("new"))
		}
	})
}

func TestAPodWhoseStatusIsRefusedKeepsNoTaintAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := run(t, readyNodes(3, "a"), runs("p", "a0"), runs("q", "a0"))
		after(time.Minute)
		c.Fail = func(_, resource, subresource string, obj runtime.Object) error {
			if pod, ok := obj.(*v1.Pod); ok && subresource == "status" && pod.Name == "p" {
				return errors.New("refused")
			}
			return nil
		}
		c.sick("a0")
		if got, want := c.taints("a0"), "not-ready:NoSchedule not-ready:NoExecute"; got != want || c.ready("q") {
			t.Errorf("taints %s, want %s; the other pod is ready: %v", got, want, c.ready("q"))
		}
		c.Fail = nil
		after(10 * time.Second)
		if c.ready("p") {
			t.Error("a refused write is not tried again")
		}
	})
}

func TestANodeThatNeverReportsIsTimedFromItsCreation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mute := node("mute")
		mute.CreationTimestamp = metav1.Now()
		c := run(t, append(readyNodes(1, "a"), mute))
		c.silent.Store("mute", true)
		after(55 * time.Second)
		if got, want := c.taints("mute"), "not-ready:NoSchedule"; got != want {
			t.Errorf("taints %s before the startup grace period ends, want %s", got, want)
		}
		after(15 * time.Second)
		if got, want := c.taints("mute"), "unreachable:NoSchedule unreachable:NoExecute"; got != want {
			t.Errorf("taints %s after it, want %s", got, want)
		}
	})
}

func TestNodesOfAZoneAreEvictedOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := run(t, readyNodes(20, "a"))
		after(time.Minute)
		for i := range 5 {
			c.silent.Store(fmt.Sprintf("a%d", i), true)
		}
		var times []time.Time
		for range 180 {
			after(time.Second)
			for range c.evicted() - len(times) {
				times = append(times, time.Now())
			}
		}
		if len(times) != 5 {
			t.Fatalf("%d of 5 silent nodes are evicted", len(times))
		}
		for i := range times[1:] {
			if gap := times[i+1].Sub(times[i]); gap < 9*time.Second || gap > 16*time.Second {
				t.Errorf("%v between two evictions, want 10 s and at most a monitor period more", gap)
			}
		}
	})
}

func TestMostOfASmallZoneIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := run(t, append(readyNodes(10, "a"), readyNodes(10, "b")...))
		after(time.Minute)
		for i := range 8 {
			c.silent.Store(fmt.Sprintf("a%d", i), true)
		}
		after(10 * time.Minute)
		if n := c.evicted(); n > 2 { // those that fell silent while the zone still counted as healthy
			t.Errorf("%d nodes of a zone that is mostly down are evicted", n)
		}
	})
}

func TestNothingIsEvictedWhenEverythingIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := append(readyNodes(2, "a"), readyNodes(2, "b")...)
		c := run(t, nodes)
		after(time.Minute)
		c.silent.Store("a0", true)
		after(2 * time.Minute)
		if n := c.evicted(); n != 1 {
			t.Fatalf("%d nodes are evicted, want the silent one", n)
		}
		for _, n := range nodes {
			c.silent.Store(n.Name, true)
		}
		after(2 * time.Minute)
		if n := c.evicted(); n != 0 {
			t.Errorf("%d nodes are evicted although all are silent: the controller is what is cut off", n)
		}
		c.silent.Delete("b0") // the others get their time to report
		after(30 * time.Second)
		if n := c.evicted(); n != 0 {
			t.Errorf("%d nodes are evicted as soon as one is back", n)
		}
	})
}

func TestANodeThatGoesIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := run(t, readyNodes(2, "a"))
		after(time.Second)
		if err := c.Client.CoreV1().Nodes().Delete(t.Context(), "a1", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		if want := "Normal RemovingNode Node a1 event: Removing Node a1 from Controller"; !slices.Contains(c.Recorded(), want) {
			t.Errorf("no event %q", want)
		}
	})
}
