package cycle

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"

	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/kube-scheduler/framework"

	"pilotis.dev/cmd/kube-scheduler/plugins"
	"pilotis.dev/cmd/kube-scheduler/snapshot"
)

// Preemption is a node that the pod fits on once the victims are gone.
type Preemption struct {
	Node       string
	Victims    []*snapshot.Pod // by falling priority
	Violations int             // disruption budgets that have to be overdrawn
}

// String prints the plan.
func (p Preemption) String() string {
	return fmt.Sprintf("node %s after %d pods", p.Node, len(p.Victims))
}

func priority(p *v1.Pod) int32 {
	if p.Spec.Priority != nil {
		return *p.Spec.Priority
	}
	return 0
}

// Preempt looks for the least harmful set of pods of lower priority whose end lets pod run. It is the answer to a
// Failure; nil and a reason: there is none.
func (d *Decider) Preempt(ctx context.Context, pod *snapshot.Pod, s *snapshot.Snapshot, f *Failure, budgets []*policyv1.PodDisruptionBudget) (*Preemption, string) {
	if !d.Profile.Preemption {
		return nil, ""
	}
	if pod.Spec.PreemptionPolicy != nil && *pod.Spec.PreemptionPolicy == v1.PreemptNever {
		return nil, "preemption: not eligible due to preemptionPolicy=Never."
	}
	if d.waitsForVictims(pod, s) {
		return nil, "preemption: not eligible due to a terminating pod on the nominated node."
	}
	if f.Common != nil {
		return nil, "preemption: " + fmt.Sprintf("0/%d nodes are available: %d Preemption is not helpful for scheduling.", f.Nodes, f.Nodes)
	}
	var candidates []Preemption
	reasons := map[string]int{}
	wanted := max(d.Profile.MinCandidates, len(s.Nodes)*d.Profile.MinCandidatePercent/100)
	for i := range s.Nodes {
		n := s.Nodes[(d.next+i)%len(s.Nodes)]
		status := f.Statuses[n.Name]
		if status == nil || status.Code() == framework.UnschedulableAndUnresolvable {
			reasons["Preemption is not helpful for scheduling"]++
			continue
		}
		victims, violations, ok := d.victims(pod, s, n, budgets)
		if !ok {
			reasons["No preemption victims found for incoming pod"]++
			continue
		}
		candidates = append(candidates, Preemption{Node: n.Name, Victims: victims, Violations: violations})
		if len(candidates) >= wanted || ctx.Err() != nil {
			break
		}
	}
	if len(candidates) == 0 {
		text := fmt.Sprintf("preemption: 0/%d nodes are available: ", f.Nodes)
		for i, r := range countedReasons(reasons) {
			if i > 0 {
				text += ", "
			}
			text += r
		}
		return nil, text + "."
	}
	best := slices.MinFunc(candidates, less)
	return &best, ""
}

// waitsForVictims reports whether the pod was promised a node on which pods of lower priority are ending already.
func (d *Decider) waitsForVictims(pod *snapshot.Pod, s *snapshot.Snapshot) bool {
	n := s.Node(pod.Status.NominatedNodeName)
	if n == nil {
		return false
	}
	for _, p := range n.Pods {
		if p.DeletionTimestamp == nil || priority(p.Pod) >= priority(pod.Pod) {
			continue
		}
		for _, c := range p.Status.Conditions {
			if c.Type == v1.DisruptionTarget && c.Status == v1.ConditionTrue && c.Reason == v1.PodReasonPreemptionByScheduler {
				return true
			}
		}
	}
	return false
}

// victims takes all pods of lower priority off the node, and puts back as many as the pod leaves room for: first
// those whose disruption budgets would be overdrawn, then the others, the most important first.
func (d *Decider) victims(pod *snapshot.Pod, s *snapshot.Snapshot, n *snapshot.Node, budgets []*policyv1.PodDisruptionBudget) (victims []*snapshot.Pod, violations int, ok bool) {
	var lower []*snapshot.Pod
	for _, p := range n.Pods {
		if priority(p.Pod) < priority(pod.Pod) {
			lower = append(lower, p)
		}
	}
	if len(lower) == 0 {
		return nil, 0, false
	}
	without := n.Without(lower...)
	if !d.fits(pod, s, without) {
		return nil, 0, false
	}
	sort.SliceStable(lower, func(i, j int) bool { return moreImportant(lower[i], lower[j]) })
	violating, others := splitByBudget(lower, budgets)
	reprieve := func(p *snapshot.Pod) bool {
		if with := without.With(p); d.fits(pod, s, with) {
			without = with
			return true
		}
		victims = append(victims, p)
		return false
	}
	for _, p := range violating {
		if !reprieve(p) {
			violations++
		}
	}
	for _, p := range others {
		reprieve(p)
	}
	sort.SliceStable(victims, func(i, j int) bool { return moreImportant(victims[i], victims[j]) })
	return victims, violations, true
}

// fits asks all plugins anew: the same question on a hypothetical cluster.
func (d *Decider) fits(pod *snapshot.Pod, s *snapshot.Snapshot, n *snapshot.Node) bool {
	c := &plugins.Cycle{Pod: pod, Snapshot: s.Replace(n), NamespaceLabels: d.NamespaceLabels}
	filters, common := d.prepare(c)
	return common == nil && d.ask(c, filters, n) == nil
}

func moreImportant(a, b *snapshot.Pod) bool {
	if pa, pb := priority(a.Pod), priority(b.Pod); pa != pb {
		return pa > pb
	}
	return startTime(a).Before(startTime(b))
}

func startTime(p *snapshot.Pod) *metav1.Time {
	if p.Status.StartTime != nil {
		return p.Status.StartTime
	}
	return &p.CreationTimestamp
}

// splitByBudget tells the pods whose eviction a budget does not allow from the others.
func splitByBudget(pods []*snapshot.Pod, budgets []*policyv1.PodDisruptionBudget) (violating, others []*snapshot.Pod) {
	allowed := make([]int32, len(budgets))
	for i, b := range budgets {
		allowed[i] = b.Status.DisruptionsAllowed
	}
	for _, p := range pods {
		violates := false
		for i, b := range budgets {
			selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
			if b.Namespace != p.Namespace || err != nil || selector.Empty() || !selector.Matches(labels.Set(p.Labels)) {
				continue
			}
			if _, processed := b.Status.DisruptedPods[p.Name]; processed {
				continue
			}
			if allowed[i]--; allowed[i] < 0 {
				violates = true
			}
		}
		if violates {
			violating = append(violating, p)
		} else {
			others = append(others, p)
		}
	}
	return violating, others
}

// less orders preemptions by harm: budgets overdrawn, the highest priority hurt, the sum of priorities, the number of
// pods, and how long the most important one has run.
func less(a, b Preemption) int {
	key := func(p Preemption) [4]int64 {
		k := [4]int64{int64(p.Violations), math.MinInt64, 0, int64(len(p.Victims))}
		for _, v := range p.Victims {
			k[1] = max(k[1], int64(priority(v.Pod)))
			k[2] += int64(priority(v.Pod)) + math.MaxInt32 + 1
		}
		return k
	}
	ka, kb := key(a), key(b)
	if c := slices.Compare(ka[:], kb[:]); c != 0 || len(a.Victims) == 0 || len(b.Victims) == 0 {
		return c
	}
	// The one that started later has less to lose.
	switch ta, tb := startTime(a.Victims[0]), startTime(b.Victims[0]); {
	case tb.Before(ta):
		return -1
	case ta.Before(tb):
		return 1
	}
	return 0
}
