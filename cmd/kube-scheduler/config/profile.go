package config

import (
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
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
	{"VolumeBinding", 0, volumeBinding},
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
	set := ptr.Deref(p.Plugins, schedulerconfig.Plugins{})
	err := checkNames(set)
	if err != nil {
		return nil, fmt.Errorf("profile %q: %w", name, err)
	}
	args, err := argumentsOf(p.PluginConfig)
	if err != nil {
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
	if err := preemption(args, profile); err != nil {
		return nil, fmt.Errorf("profile %q: pluginConfig %s: %w", name, defaultPreemption, err)
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

// names are those of all plugins.
func names() sets.Set[string] {
	known := sets.New(prioritySort, defaultPreemption, defaultBinder)
	for _, r := range table {
		known.Insert(r.name)
	}
	return known
}

// checkNames refuses plugins that do not exist.
func checkNames(set schedulerconfig.Plugins) error {
	known := names().Insert("*")
	for _, s := range []schedulerconfig.PluginSet{set.PreEnqueue, set.QueueSort, set.PreFilter, set.Filter, set.PostFilter, set.PreScore, set.Score, set.Reserve, set.Permit, set.PreBind, set.Bind, set.PostBind, set.MultiPoint} {
		for _, p := range append(slices.Clone(s.Enabled), s.Disabled...) {
			if !known.Has(p.Name) {
				return fmt.Errorf("plugin %q does not exist: there are %s", p.Name, strings.Join(sets.List(known.Clone().Delete("*")), ", "))
			}
		}
	}
	return nil
}
