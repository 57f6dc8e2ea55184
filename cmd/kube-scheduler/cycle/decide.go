package cycle

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sort"
	"sync"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/kube-scheduler/framework"

	"pilotis.dev/cmd/kube-scheduler/plugins"
	"pilotis.dev/cmd/kube-scheduler/snapshot"
)

const (
	// A search never ends before so many nodes passed, however low the percentage is.
	minFeasibleNodes = 100
	minPercentage    = 5
)

// Decider decides for one profile. It is safe for one decision at a time.
type Decider struct {
	Profile     *Profile
	Parallelism int
	// NamespaceLabels gives the labels of a namespace.
	NamespaceLabels func(namespace string) labels.Set
	// Nominated gives the pods that were promised room on a node by preemption.
	Nominated func(node string) []*snapshot.Pod

	next int // where the search begins: each pod looks at other nodes first
}

// prepared is a plugin's filter, ready to be asked about nodes.
type prepared struct {
	name   string
	filter plugins.Filter
}

// Decide finds the best node for pod. The error is for what went wrong, not for a pod that fits nowhere.
func (d *Decider) Decide(ctx context.Context, pod *snapshot.Pod, s *snapshot.Snapshot) (Decision, error) {
	c := &plugins.Cycle{Pod: pod, Snapshot: s, NamespaceLabels: d.NamespaceLabels}
	filters, common := d.prepare(c)
	if common != nil {
		if common.IsError() {
			return Decision{}, common.AsError()
		}
		return Decision{Failure: &Failure{Nodes: len(s.Nodes), Common: common}}, nil
	}
	candidates, refused := narrow(filters, s)
	// A pod that displaced others goes where its room is, if it still fits.
	if nominated := s.Node(pod.Status.NominatedNodeName); nominated != nil && slices.Contains(candidates, nominated) {
		if d.ask(c, filters, nominated) == nil {
			return Decision{Node: nominated.Name, Evaluated: 1, Feasible: 1, Volumes: binding(filters, nominated.Name)}, nil
		}
	}
	feasible, statuses, evaluated, err := d.search(ctx, c, filters, candidates)
	if err != nil {
		return Decision{}, err
	}
	if len(feasible) == 0 {
		for name, status := range refused {
			statuses[name] = status
		}
		return Decision{Evaluated: evaluated, Failure: &Failure{Nodes: len(s.Nodes), Statuses: statuses}}, nil
	}
	best := d.best(ctx, c, feasible)
	return Decision{Node: best, Evaluated: evaluated, Feasible: len(feasible), Volumes: binding(filters, best)}, nil
}

// prepare asks each plugin for its filter.
func (d *Decider) prepare(c *plugins.Cycle) ([]prepared, *framework.Status) {
	filters := make([]prepared, 0, len(d.Profile.Filters))
	for _, p := range d.Profile.Filters {
		f, status := p.PrepareFilter(c)
		if !status.IsSuccess() {
			return nil, status.WithPlugin(p.Name())
		}
		if f != nil {
			filters = append(filters, prepared{p.Name(), f})
		}
	}
	return filters, nil
}

// narrow leaves the nodes that filters name as the only ones; the others are refused unasked.
func narrow(filters []prepared, s *snapshot.Snapshot) ([]*snapshot.Node, map[string]*framework.Status) {
	for _, f := range filters {
		n, ok := f.filter.(plugins.Narrower)
		if !ok || n.Only() == nil {
			continue
		}
		only := map[string]bool{}
		var nodes []*snapshot.Node
		for _, name := range n.Only() {
			if node := s.Node(name); node != nil && !only[name] {
				nodes = append(nodes, node)
			}
			only[name] = true
		}
		refused := map[string]*framework.Status{}
		for _, node := range s.Nodes {
			if !only[node.Name] {
				refused[node.Name] = framework.NewStatus(framework.UnschedulableAndUnresolvable, "node(s) didn't satisfy plugin(s) ["+f.name+"]").WithPlugin(f.name)
			}
		}
		return nodes, refused
	}
	return s.Nodes, nil
}

// search asks nodes until enough passed.
func (d *Decider) search(ctx context.Context, c *plugins.Cycle, filters []prepared, nodes []*snapshot.Node) ([]*snapshot.Node, map[string]*framework.Status, int, error) {
	enough := d.enough(len(nodes))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var feasible []*snapshot.Node
	statuses := map[string]*framework.Status{}
	evaluated := 0
	start := d.next
	workqueue.ParallelizeUntil(ctx, d.workers(len(nodes)), len(nodes), func(i int) {
		n := nodes[(start+i)%len(nodes)]
		status := d.ask(c, filters, n)
		mu.Lock()
		defer mu.Unlock()
		evaluated++
		if status != nil {
			statuses[n.Name] = status
		} else if len(feasible) < enough {
			if feasible = append(feasible, n); len(feasible) == enough {
				cancel()
			}
		}
	}, workqueue.WithChunkSize(chunk))
	if len(nodes) > 0 {
		d.next = (start + evaluated) % len(nodes)
	}
	for name, s := range statuses {
		if s.IsError() {
			return nil, nil, 0, fmt.Errorf("plugin %s on node %s: %w", s.Plugin(), name, s.AsError())
		}
	}
	return feasible, statuses, evaluated, nil
}

// chunk is how many nodes a goroutine takes at a time.
const chunk = 64

// workers keeps small searches on one goroutine, since waking others costs more than asking, and has none wait for a
// processor: nothing that is asked blocks.
func (d *Decider) workers(nodes int) int {
	return max(1, min(d.Parallelism, runtime.GOMAXPROCS(0), nodes/chunk))
}

// enough is how many nodes that pass end the search: all of a small cluster, a falling share of a large one.
func (d *Decider) enough(nodes int) int {
	if nodes < minFeasibleNodes {
		return nodes
	}
	percentage := d.Profile.PercentageOfNodesToScore
	if percentage == 0 {
		percentage = max(minPercentage, 50-nodes/125)
	}
	return max(minFeasibleNodes, nodes*percentage/100)
}

// ask runs all filters on a node; nil: it passes. Pods of at least the same priority that were promised room there
// count as if they ran; the node must pass with and without them, since they may never come.
func (d *Decider) ask(c *plugins.Cycle, filters []prepared, n *snapshot.Node) *framework.Status {
	if promised := d.promised(c.Pod, n.Name); len(promised) > 0 {
		with := n.With(promised...)
		hypothetical := &plugins.Cycle{Pod: c.Pod, Snapshot: c.Snapshot.Replace(with), NamespaceLabels: c.NamespaceLabels}
		all, common := d.prepare(hypothetical)
		if common != nil {
			return common
		}
		if s := askFilters(all, with); s != nil {
			return s
		}
	}
	return askFilters(filters, n)
}

func askFilters(filters []prepared, n *snapshot.Node) *framework.Status {
	for _, f := range filters {
		if s := f.filter.Filter(n); !s.IsSuccess() {
			return s.WithPlugin(f.name)
		}
	}
	return nil
}

func (d *Decider) promised(pod *snapshot.Pod, node string) []*snapshot.Pod {
	if d.Nominated == nil {
		return nil
	}
	var pods []*snapshot.Pod
	for _, p := range d.Nominated(node) {
		if p.UID != pod.UID && priority(p.Pod) >= priority(pod.Pod) {
			pods = append(pods, p)
		}
	}
	return pods
}

func binding(filters []prepared, node string) *plugins.Binding {
	for _, f := range filters {
		if b, ok := f.filter.(plugins.Binder); ok {
			return b.Binding(node)
		}
	}
	return nil
}

// best scores the nodes and takes the first of the best; the order of the search varies, so equals take turns.
func (d *Decider) best(ctx context.Context, c *plugins.Cycle, nodes []*snapshot.Node) string {
	if len(nodes) == 1 {
		return nodes[0].Name
	}
	totals := d.scores(ctx, c, nodes)
	best := 0
	for i, t := range totals {
		if t > totals[best] {
			best = i
		}
	}
	return nodes[best].Name
}

// scores sums what the scorers say. Each node is rated by all of them at a time, each scorer's ratings are normalized
// together.
func (d *Decider) scores(ctx context.Context, c *plugins.Cycle, nodes []*snapshot.Node) []int64 {
	type column struct {
		score  plugins.Score
		weight int64
		values []int64
	}
	var columns []column
	for _, p := range d.Profile.Scorers {
		if score := p.PrepareScore(c, nodes); score != nil {
			columns = append(columns, column{score, p.Weight, make([]int64, len(nodes))})
		}
	}
	workqueue.ParallelizeUntil(ctx, d.workers(len(nodes)), len(nodes), func(i int) {
		for _, c := range columns {
			c.values[i] = c.score.Score(nodes[i])
		}
	}, workqueue.WithChunkSize(chunk))
	totals := make([]int64, len(nodes))
	for _, c := range columns {
		c.score.Normalize(c.values)
		for i, v := range c.values {
			totals[i] += v * c.weight
		}
	}
	return totals
}

// countedReasons gives "2 Insufficient cpu" for each reason, sorted.
func countedReasons(counts map[string]int) []string {
	var out []string
	for reason, n := range counts {
		out = append(out, fmt.Sprintf("%d %s", n, reason))
	}
	sort.Strings(out)
	return out
}
