package config

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	schedulerconfig "k8s.io/kube-scheduler/config/v1"
)

// fixed are the extension points at which a plugin of the default profile cannot be switched off alone, each with the plugins
// that have a part there: it belongs to what the plugin does at filter or score.
var fixed = []struct {
	name    string
	set     func(*schedulerconfig.Plugins) schedulerconfig.PluginSet
	plugins sets.Set[string]
}{
	{"queueSort", func(p *schedulerconfig.Plugins) schedulerconfig.PluginSet { return p.QueueSort }, sets.New(prioritySort)},
	{"preFilter", func(p *schedulerconfig.Plugins) schedulerconfig.PluginSet { return p.PreFilter },
		sets.New("NodeAffinity", "NodePorts", "NodeResourcesFit", "VolumeRestrictions", "NodeVolumeLimits", "VolumeBinding", "VolumeZone", "PodTopologySpread", "InterPodAffinity")},
	{"preScore", func(p *schedulerconfig.Plugins) schedulerconfig.PluginSet { return p.PreScore },
		sets.New("TaintToleration", "NodeAffinity", "NodeResourcesFit", "VolumeBinding", "PodTopologySpread", "InterPodAffinity", "NodeResourcesBalancedAllocation")},
	{"reserve", func(p *schedulerconfig.Plugins) schedulerconfig.PluginSet { return p.Reserve }, sets.New("VolumeBinding")},
	{"preBind", func(p *schedulerconfig.Plugins) schedulerconfig.PluginSet { return p.PreBind }, sets.New("VolumeBinding")},
	{"bind", func(p *schedulerconfig.Plugins) schedulerconfig.PluginSet { return p.Bind }, sets.New(defaultBinder)},
}

// validatePlugins refuses to switch off what this scheduler cannot be without.
func validatePlugins(p *schedulerconfig.Plugins, path *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	var errs field.ErrorList
	for _, point := range fixed {
		set := point.set(p)
		for i, name := range disabled(set, point.plugins) {
			errs = append(errs, field.Forbidden(path.Child(point.name, "disabled").Index(i),
				name+" cannot be switched off at this extension point alone: disable it under filter, score or multiPoint"))
		}
	}
	everywhere := p.MultiPoint
	everywhere.Enabled = slices.Concat(p.MultiPoint.Enabled, p.QueueSort.Enabled, p.Bind.Enabled)
	for i, name := range disabled(everywhere, sets.New(prioritySort, defaultBinder)) {
		errs = append(errs, field.Forbidden(path.Child("multiPoint", "disabled").Index(i), name+" cannot be switched off: no other plugin does its job"))
	}
	return errs
}

// disabled gives, by the index of the entry that does it, the plugins among those given that a set switches off.
func disabled(set schedulerconfig.PluginSet, among sets.Set[string]) map[int]string {
	off := map[int]string{}
	for i, d := range set.Disabled {
		for _, name := range sets.List(among) {
			again := slices.ContainsFunc(set.Enabled, func(e schedulerconfig.Plugin) bool { return e.Name == name })
			if (d.Name == name || d.Name == "*") && !again {
				off[i] = name
			}
		}
	}
	return off
}
