package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	schedulerconfig "k8s.io/kube-scheduler/config/v1"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-scheduler/cycle"
	"pilotis.dev/cmd/kube-scheduler/plugins"
)

// Inputs are what plugins read besides pods and nodes.
type Inputs struct {
	Volumes plugins.Volumes
	// DefaultSelector gives the labels by which a pod's default spreading counts.
	DefaultSelector func(pod *v1.Pod) labels.Selector
}

// row is one plugin of the default profile.
type row struct {
	name   string
	weight int64 // of its score; 0: it does not score
	build  func(args arguments, in Inputs) (plugins.Plugin, error)
}

const (
	prioritySort      = "PrioritySort"
	defaultPreemption = "DefaultPreemption"
	defaultBinder     = "DefaultBinder"
)

// table lists the plugins in the order in which they are asked: cheap and decisive ones first.
var table = []row{
	{"SchedulingGates", 0, plain(plugins.SchedulingGates{})},
	{"NodeUnschedulable", 0, plain(plugins.NodeUnschedulable{})},
	{"NodeName", 0, plain(plugins.NodeName{})},
	{"TaintToleration", 3, plain(plugins.TaintToleration{})},
	{"NodeAffinity", 2, nodeAffinity},
	{"NodePorts", 0, plain(plugins.NodePorts{})},
	{"NodeResourcesFit", 1, nodeResourcesFit},
	{"VolumeRestrictions", 0, func(_ arguments, in Inputs) (plugins.Plugin, error) {
		return plugins.VolumeRestrictions{Volumes: in.Volumes}, nil
	}},
	{"NodeVolumeLimits", 0, func(_ arguments, in Inputs) (plugins.Plugin, error) {
		return plugins.NodeVolumeLimits{Volumes: in.Volumes}, nil
	}},
	{"VolumeBinding", 0, func(_ arguments, in Inputs) (plugins.Plugin, error) {
		return plugins.VolumeBinding{Volumes: in.Volumes}, nil
	}},
	{"VolumeZone", 0, func(_ arguments, in Inputs) (plugins.Plugin, error) {
		return plugins.VolumeZone{Volumes: in.Volumes}, nil
	}},
	{"PodTopologySpread", 2, podTopologySpread},
	{"InterPodAffinity", 2, interPodAffinity},
	{"NodeResourcesBalancedAllocation", 1, balancedAllocation},
	{"ImageLocality", 1, plain(plugins.ImageLocality{})},
}

func plain(p plugins.Plugin) func(arguments, Inputs) (plugins.Plugin, error) {
	return func(arguments, Inputs) (plugins.Plugin, error) { return p, nil }
}

// Profile builds the plugins of one profile of the configuration.
func (o *Options) Profile(p schedulerconfig.KubeSchedulerProfile, in Inputs) (*cycle.Profile, error) {
	name := ptr.Deref(p.SchedulerName, "")
	profile := &cycle.Profile{Name: name, MinCandidates: 100, MinCandidatePercent: 10,
		PercentageOfNodesToScore: int(ptr.Deref(p.PercentageOfNodesToScore, ptr.Deref(o.Config.PercentageOfNodesToScore, 0)))}
	args, err := argumentsOf(p.PluginConfig)
	if err != nil {
		return nil, fmt.Errorf("profile %q: %w", name, err)
	}
	set := ptr.Deref(p.Plugins, schedulerconfig.Plugins{})
	if err := checkNames(set); err != nil {
		return nil, fmt.Errorf("profile %q: %w", name, err)
	}
	for _, r := range table {
		plugin, err := r.build(args, in)
		if err != nil {
			return nil, fmt.Errorf("profile %q: pluginConfig %s: %w", name, r.name, err)
		}
		on := func(point schedulerconfig.PluginSet) bool { return enabled(r.name, point, set.MultiPoint) }
		if g, ok := plugin.(plugins.Gate); ok && on(set.PreEnqueue) {
			profile.Gates = append(profile.Gates, g)
		}
		if f, ok := plugin.(plugins.Filterer); ok && on(set.Filter) {
			profile.Filters = append(profile.Filters, f)
		}
		if s, ok := plugin.(plugins.Scorer); ok && on(set.Score) {
			profile.Scorers = append(profile.Scorers, cycle.WeightedScorer{Scorer: s, Weight: weight(r, set)})
		}
		if w, ok := plugin.(plugins.Waker); ok {
			profile.Wakers = append(profile.Wakers, w)
		}
	}
	profile.Preemption = enabled(defaultPreemption, set.PostFilter, set.MultiPoint)
	if a := (schedulerconfig.DefaultPreemptionArgs{}); args[defaultPreemption] != nil {
		if err := args.decode(defaultPreemption, &a); err != nil {
			return nil, err
		}
		profile.MinCandidates = int(ptr.Deref(a.MinCandidateNodesAbsolute, 100))
		profile.MinCandidatePercent = int(ptr.Deref(a.MinCandidateNodesPercentage, 10))
	}
	return profile, nil
}

// enabled: on by default, off where the extension point or multiPoint disables it ("*": all), on where either enables
// it by name.
func enabled(name string, point, multi schedulerconfig.PluginSet) bool {
	for _, set := range []schedulerconfig.PluginSet{point, multi} {
		named := func(list []schedulerconfig.Plugin, n string) bool {
			return slices.ContainsFunc(list, func(p schedulerconfig.Plugin) bool { return p.Name == n })
		}
		if named(set.Enabled, name) {
			return true
		}
		if named(set.Disabled, name) || named(set.Disabled, "*") {
			return false
		}
	}
	return true
}

func weight(r row, set schedulerconfig.Plugins) int64 {
	for _, list := range [][]schedulerconfig.Plugin{set.Score.Enabled, set.MultiPoint.Enabled} {
		for _, p := range list {
			if p.Name == r.name && p.Weight != nil && *p.Weight > 0 {
				return int64(*p.Weight)
			}
		}
	}
	return r.weight
}

// checkNames refuses plugins that do not exist.
func checkNames(set schedulerconfig.Plugins) error {
	known := sets.New(prioritySort, defaultPreemption, defaultBinder, "*")
	for _, r := range table {
		known.Insert(r.name)
	}
	for _, s := range []schedulerconfig.PluginSet{set.PreEnqueue, set.QueueSort, set.PreFilter, set.Filter, set.PostFilter, set.PreScore, set.Score, set.Reserve, set.Permit, set.PreBind, set.Bind, set.PostBind, set.MultiPoint} {
		for _, p := range append(slices.Clone(s.Enabled), s.Disabled...) {
			if !known.Has(p.Name) {
				return fmt.Errorf("plugin %q does not exist: there are %s", p.Name, strings.Join(sets.List(known.Clone().Delete("*")), ", "))
			}
		}
	}
	return nil
}

// arguments are pluginConfig's raw objects by plugin.
type arguments map[string][]byte

func argumentsOf(list []schedulerconfig.PluginConfig) (arguments, error) {
	args := arguments{}
	for _, c := range list {
		if _, twice := args[c.Name]; twice {
			return nil, fmt.Errorf("pluginConfig: Duplicate value: %q", c.Name)
		}
		args[c.Name] = rawOf(c.Args)
	}
	return args, nil
}

func rawOf(e runtime.RawExtension) []byte {
	if len(e.Raw) == 0 {
		return []byte("{}")
	}
	return e.Raw
}

// decode reads a plugin's arguments strictly; without any, to stays as it is.
func (a arguments) decode(name string, to any) error {
	if a[name] == nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(a[name]))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return fmt.Errorf("pluginConfig %s: %w", name, err)
	}
	return nil
}

func nodeAffinity(args arguments, _ Inputs) (plugins.Plugin, error) {
	var a schedulerconfig.NodeAffinityArgs
	err := args.decode("NodeAffinity", &a)
	return plugins.NodeAffinity{Added: a.AddedAffinity}, err
}

func interPodAffinity(args arguments, _ Inputs) (plugins.Plugin, error) {
	var a schedulerconfig.InterPodAffinityArgs
	if err := args.decode("InterPodAffinity", &a); err != nil {
		return nil, err
	}
	w := ptr.Deref(a.HardPodAffinityWeight, 1)
	if w < 0 || w > 100 {
		return nil, fmt.Errorf("hardPodAffinityWeight: Invalid value: %d: not in valid range [0-100]", w)
	}
	return plugins.InterPodAffinity{HardWeight: int64(w), IgnorePreferredOfOthers: a.IgnorePreferredTermsOfExistingPods}, nil
}

func podTopologySpread(args arguments, in Inputs) (plugins.Plugin, error) {
	var a schedulerconfig.PodTopologySpreadArgs
	if err := args.decode("PodTopologySpread", &a); err != nil {
		return nil, err
	}
	p := plugins.PodTopologySpread{Defaults: a.DefaultConstraints, DefaultSelector: in.DefaultSelector}
	if a.DefaultingType == "" || a.DefaultingType == schedulerconfig.SystemDefaulting {
		if len(a.DefaultConstraints) > 0 && a.DefaultingType == schedulerconfig.SystemDefaulting {
			return nil, fmt.Errorf("defaultConstraints: Invalid value: when .defaultingType is System, no constraints may be given")
		}
		if len(a.DefaultConstraints) == 0 {
			p.Defaults = []v1.TopologySpreadConstraint{
				{TopologyKey: v1.LabelHostname, WhenUnsatisfiable: v1.ScheduleAnyway, MaxSkew: 3},
				{TopologyKey: v1.LabelTopologyZone, WhenUnsatisfiable: v1.ScheduleAnyway, MaxSkew: 5},
			}
		}
	}
	return p, nil
}

func nodeResourcesFit(args arguments, _ Inputs) (plugins.Plugin, error) {
	var a schedulerconfig.NodeResourcesFitArgs
	if err := args.decode("NodeResourcesFit", &a); err != nil {
		return nil, err
	}
	p := plugins.NodeResourcesFit{Strategy: plugins.LeastAllocated, Resources: cpuAndMemory(), Ignored: sets.New(a.IgnoredResources...), IgnoredGroups: sets.New(a.IgnoredResourceGroups...)}
	if s := a.ScoringStrategy; s != nil {
		switch s.Type {
		case schedulerconfig.LeastAllocated, schedulerconfig.MostAllocated, schedulerconfig.RequestedToCapacityRatio, "":
		default:
			return nil, fmt.Errorf("scoringStrategy.type: Unsupported value: %q: supported values: \"LeastAllocated\", \"MostAllocated\", \"RequestedToCapacityRatio\"", s.Type)
		}
		if s.Type != "" {
			p.Strategy = plugins.Strategy(s.Type)
		}
		if len(s.Resources) > 0 {
			p.Resources = weighted(s.Resources)
		}
		if r := s.RequestedToCapacityRatio; r != nil {
			for _, point := range r.Shape {
				p.Shape = append(p.Shape, plugins.Point{Utilization: int64(point.Utilization), Score: int64(point.Score)})
			}
		}
	}
	return p, nil
}

func balancedAllocation(args arguments, _ Inputs) (plugins.Plugin, error) {
	var a schedulerconfig.NodeResourcesBalancedAllocationArgs
	if err := args.decode("NodeResourcesBalancedAllocation", &a); err != nil {
		return nil, err
	}
	p := plugins.NodeResourcesBalancedAllocation{Resources: cpuAndMemory()}
	if len(a.Resources) > 0 {
		p.Resources = weighted(a.Resources)
	}
	return p, nil
}

func cpuAndMemory() []plugins.Weighted {
	return []plugins.Weighted{{Name: v1.ResourceCPU, Weight: 1}, {Name: v1.ResourceMemory, Weight: 1}}
}

func weighted(specs []schedulerconfig.ResourceSpec) []plugins.Weighted {
	var out []plugins.Weighted
	for _, s := range specs {
		out = append(out, plugins.Weighted{Name: v1.ResourceName(s.Name), Weight: max(1, s.Weight)})
	}
	return out
}
