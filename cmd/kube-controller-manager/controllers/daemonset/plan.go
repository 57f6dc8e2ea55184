package daemonset

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	intstrutil "k8s.io/apimachinery/pkg/util/intstr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/pods"
)

// Input is all that a decision depends on.
type Input struct {
	DaemonSet *appsv1.DaemonSet
	Nodes     []*v1.Node
	// Pods are the set's own.
	Pods []*v1.Pod
	// Hash is the revision label of the present template.
	Hash       string
	Collisions *int32
	// BackOff says how long a failed pod of a node has to stay before it is replaced; zero: not at all.
	BackOff func(node string) time.Duration
	Now     time.Time
}

// Plan is one step of a DaemonSet.
type Plan struct {
	Create []string // names of nodes that get a pod
	Delete []*v1.Pod
	// Ended are those of Delete whose containers ended; they deserve an event and a back-off.
	Ended  []*v1.Pod
	Status appsv1.DaemonSetStatus
	Wake   time.Duration
}

// String prints the plan without the status.
func (p Plan) String() string {
	var b strings.Builder
	for _, node := range p.Create {
		fmt.Fprintf(&b, "create on %s\n", node)
	}
	for _, pod := range p.Delete {
		fmt.Fprintf(&b, "delete %s on %s\n", pod.Name, targetOf(pod))
	}
	return b.String()
}

// place is a node with its daemons, oldest first.
type place struct {
	name string
	fit
	pods []*v1.Pod
}

type planner struct {
	Input
	plan   Plan
	places []place
	gone   []*v1.Pod // pods held to a node that does not exist
}

// Decide makes the plan. Replacing old pods waits until each node has the pods it should.
func Decide(in Input) Plan {
	p := &planner{Input: in}
	p.sort()
	p.manage()
	if len(p.plan.Create) == 0 && len(p.plan.Delete) == 0 && in.DaemonSet.Spec.UpdateStrategy.Type != appsv1.OnDeleteDaemonSetStrategyType {
		if surge, unavailable := p.limits(); surge > 0 {
			p.surge(surge)
		} else {
			p.roll(unavailable)
		}
	}
	p.status()
	return p.plan
}

func (p *planner) sort() {
	byNode := map[string][]*v1.Pod{}
	for _, pod := range p.Pods {
		if pods.Finished(pod) && pod.DeletionTimestamp != nil {
			continue // it ended, and only a finalizer keeps it: its node is free
		}
		node := targetOf(pod)
		byNode[node] = append(byNode[node], pod)
	}
	f := newFits(p.DaemonSet)
	for _, node := range p.Nodes {
		pl := place{name: node.Name, fit: f.of(node), pods: byNode[node.Name]}
		delete(byNode, node.Name)
		if !pl.run && len(pl.pods) == 0 {
			continue
		}
		slices.SortFunc(pl.pods, func(a, b *v1.Pod) int {
			return cmp.Or(boolFirst(a.Spec.NodeName != "", b.Spec.NodeName != ""), a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
		})
		p.places = append(p.places, pl)
	}
	slices.SortFunc(p.places, func(a, b place) int { return strings.Compare(a.name, b.name) })
	for _, list := range byNode {
		p.gone = append(p.gone, list...)
	}
	slices.SortFunc(p.gone, func(a, b *v1.Pod) int { return strings.Compare(a.Name, b.Name) })
}

func boolFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func (p *planner) updated(pod *v1.Pod) bool {
	return pod.Labels[appsv1.ControllerRevisionHashLabelKey] == p.Hash
}

func (p *planner) available(pod *v1.Pod) bool {
	ok, after := pods.Available(pod, p.DaemonSet.Spec.MinReadySeconds, p.Now)
	p.wake(after)
	return ok
}

func (p *planner) wake(after time.Duration) {
	if after > 0 && (p.plan.Wake == 0 || after < p.plan.Wake) {
		p.plan.Wake = after
	}
}

// manage gives each node that fits one pod, replaces ended ones, and removes what is too much.
func (p *planner) manage() {
	surge, _ := p.limits()
	for _, pl := range p.places {
		switch {
		case pl.run && len(pl.pods) == 0:
			p.plan.Create = append(p.plan.Create, pl.name)
		case !pl.stay:
			for _, pod := range pl.pods {
				if pod.DeletionTimestamp == nil {
					p.plan.Delete = append(p.plan.Delete, pod)
				}
			}
		default:
			p.manageNode(pl, surge > 0)
		}
	}
	for _, pod := range p.gone {
		// A pod bound to a node that is gone is for the pod garbage collector; one that waits for it would wait forever.
		if pod.Spec.NodeName == "" && pod.DeletionTimestamp == nil {
			p.plan.Delete = append(p.plan.Delete, pod)
		}
	}
}

func (p *planner) manageNode(pl place, surging bool) {
	var running []*v1.Pod
	for _, pod := range pl.pods {
		switch {
		case pod.DeletionTimestamp != nil:
		case pods.Finished(pod):
			if left := p.BackOff(pl.name); pod.Status.Phase == v1.PodFailed && left > 0 {
				p.wake(left)
				continue
			}
			p.plan.Delete = append(p.plan.Delete, pod)
			p.plan.Ended = append(p.plan.Ended, pod)
		default:
			running = append(running, pod)
		}
	}
	switch {
	case !surging:
		if len(running) > 1 {
			p.plan.Delete = append(p.plan.Delete, running[1:]...)
		}
	case len(running) == 0 && pl.run:
		// While surging a new pod need not wait for the end of an old one.
		if !slices.ContainsFunc(pl.pods, func(pod *v1.Pod) bool { return pod.DeletionTimestamp == nil }) {
			p.plan.Create = append(p.plan.Create, pl.name)
		}
	case len(running) > 1:
		p.settleSurge(running)
	}
}

// settleSurge keeps one pod of the old and one of the new template, and ends the old one when the new one serves.
func (p *planner) settleSurge(running []*v1.Pod) {
	var fresh, old *v1.Pod
	for _, pod := range running {
		switch {
		case p.updated(pod) && fresh == nil:
			fresh = pod
		case !p.updated(pod) && old == nil:
			old = pod
		default:
			p.plan.Delete = append(p.plan.Delete, pod)
		}
	}
	if fresh != nil && old != nil && (!pods.Ready(old) || p.available(fresh)) {
		p.plan.Delete = append(p.plan.Delete, old)
	}
}

// limits resolves maxSurge and maxUnavailable, both rounded up, as shares of the nodes that fit.
func (p *planner) limits() (surge, unavailable int) {
	rolling := p.DaemonSet.Spec.UpdateStrategy.RollingUpdate
	if p.DaemonSet.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType {
		return 0, 0
	}
	if rolling == nil {
		return 0, 1
	}
	nodes := 0
	for _, pl := range p.places {
		if pl.run {
			nodes++
		}
	}
	resolve := func(v *intstrutil.IntOrString) int {
		if v == nil {
			return 0
		}
		n, err := intstrutil.GetScaledValueFromIntOrPercent(v, nodes, true)
		if err != nil {
			return 0
		}
		return n
	}
	surge, unavailable = resolve(rolling.MaxSurge), resolve(rolling.MaxUnavailable)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, unavailable
}

// versions finds the one pod of the present and the one of an older template on a node; ok is false if there are more of a kind.
func (p *planner) versions(pl place) (fresh, old *v1.Pod, ok bool) {
	for _, pod := range pl.pods {
		if pod.DeletionTimestamp != nil {
			continue
		}
		slot := &old
		if p.updated(pod) {
			slot = &fresh
		}
		if *slot != nil {
			return nil, nil, false
		}
		*slot = pod
	}
	return fresh, old, true
}

// roll deletes old pods, and leaves it to manage to create new ones: those that do not serve at once, and of the others so many
// that no more than limit nodes are without a serving daemon.
func (p *planner) roll(limit int) {
	down := 0
	var candidates []*v1.Pod
	for _, pl := range p.places {
		if !pl.run {
			continue
		}
		fresh, old, ok := p.versions(pl)
		switch {
		case !ok, (fresh == nil) == (old == nil):
			down++
		case fresh != nil:
			if !p.available(fresh) {
				down++
			}
		case !p.available(old):
			down++
			p.plan.Delete = append(p.plan.Delete, old)
		default:
			candidates = append(candidates, old)
		}
	}
	p.plan.Delete = append(p.plan.Delete, candidates[:min(len(candidates), max(0, limit-down))]...)
}

// surge creates new pods beside old ones: at once where the old one does not serve, elsewhere so many that no more than limit
// new ones are on their way.
func (p *planner) surge(limit int) {
	rising := 0
	var candidates []string
	for _, pl := range p.places {
		if !pl.run {
			continue
		}
		fresh, old, ok := p.versions(pl)
		switch {
		case !ok:
			rising++
		case old == nil:
		case fresh != nil:
			if !p.available(fresh) {
				rising++
			} else {
				p.plan.Delete = append(p.plan.Delete, old)
			}
		case !p.available(old):
			p.plan.Create = append(p.plan.Create, pl.name)
		default:
			candidates = append(candidates, pl.name)
		}
	}
	p.plan.Create = append(p.plan.Create, candidates[:min(len(candidates), max(0, limit-rising))]...)
}

// status counts nodes by their oldest daemon.
func (p *planner) status() {
	s := appsv1.DaemonSetStatus{ObservedGeneration: p.DaemonSet.Generation, CollisionCount: p.Collisions, Conditions: p.DaemonSet.Status.Conditions}
	for _, pl := range p.places {
		if !pl.run {
			if len(pl.pods) > 0 {
				s.NumberMisscheduled++
			}
			continue
		}
		s.DesiredNumberScheduled++
		if len(pl.pods) == 0 {
			continue
		}
		s.CurrentNumberScheduled++
		pod := pl.pods[0]
		if pods.Ready(pod) {
			s.NumberReady++
			if p.available(pod) {
				s.NumberAvailable++
			}
		}
		if p.updated(pod) {
			s.UpdatedNumberScheduled++
		}
	}
	s.NumberUnavailable = s.DesiredNumberScheduled - s.NumberAvailable
	p.plan.Status = s
}
