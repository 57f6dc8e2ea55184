package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	schedulerconfig "k8s.io/kube-scheduler/config/v1"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-scheduler/cycle"
	"pilotis.dev/cmd/kube-scheduler/plugins"
)

// arguments are pluginConfig's raw objects by plugin.
type arguments map[string][]byte

var takesArguments = sets.New(defaultPreemption, "InterPodAffinity", "NodeAffinity", "NodeResourcesBalancedAllocation", "NodeResourcesFit", "PodTopologySpread", "VolumeBinding")

func argumentsOf(list []schedulerconfig.PluginConfig) (arguments, error) {
	args := arguments{}
	for _, c := range list {
		if _, twice := args[c.Name]; twice {
			return nil, fmt.Errorf("pluginConfig: Duplicate value: %q", c.Name)
		}
		if !takesArguments.Has(c.Name) {
			return nil, fmt.Errorf("pluginConfig: Unsupported value: %q: plugins with arguments are %s", c.Name, strings.Join(sets.List(takesArguments), ", "))
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
	return d.Decode(to)
}

// preemption reads among how many candidates a node for preemption is chosen.
func preemption(args arguments, profile *cycle.Profile) error {
	var a schedulerconfig.DefaultPreemptionArgs
	if err := args.decode(defaultPreemption, &a); err != nil {
		return err
	}
	percent, absolute := ptr.Deref(a.MinCandidateNodesPercentage, 10), ptr.Deref(a.MinCandidateNodesAbsolute, 100)
	switch {
	case percent < 0 || percent > 100:
		return fmt.Errorf("minCandidateNodesPercentage: Invalid value: %d: not in valid range [0, 100]", percent)
	case absolute < 0:
		return fmt.Errorf("minCandidateNodesAbsolute: Invalid value: %d: must be greater than or equal to 0", absolute)
	case percent == 0 && absolute == 0:
		return errors.New("minCandidateNodesPercentage and minCandidateNodesAbsolute cannot both be 0")
	}
	profile.MinCandidates, profile.MinCandidatePercent = int(absolute), int(percent)
	return nil
}

func volumeBinding(args arguments, in Inputs) (plugins.Plugin, error) {
	var a schedulerconfig.VolumeBindingArgs
	if err := args.decode("VolumeBinding", &a); err != nil {
		return nil, err
	}
	seconds := ptr.Deref(a.BindTimeoutSeconds, 600)
	if seconds < 0 {
		return nil, fmt.Errorf("bindTimeoutSeconds: Invalid value: %d: must be greater than or equal to 0", seconds)
	}
	if len(a.Shape) > 0 {
		return nil, errors.New("shape: Forbidden: it belongs to the alpha feature StorageCapacityScoring, which this scheduler has not")
	}
	return plugins.VolumeBinding{Volumes: in.Volumes, BindTimeout: time.Duration(seconds) * time.Second}, nil
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
			return nil, errors.New("defaultConstraints: Invalid value: when .defaultingType is System, no constraints may be given")
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
	err := args.decode("NodeResourcesFit", &a)
	if err != nil {
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
			if p.Resources, err = weighted(s.Resources); err != nil {
				return nil, fmt.Errorf("scoringStrategy.%w", err)
			}
		}
		if r := s.RequestedToCapacityRatio; r != nil {
			if len(r.Shape) == 0 {
				return nil, errors.New("scoringStrategy.requestedToCapacityRatio.shape: Required value: at least one point must be specified")
			}
			if err := checkShape(r.Shape); err != nil {
				return nil, fmt.Errorf("scoringStrategy.requestedToCapacityRatio.shape: %w", err)
			}
			for _, point := range r.Shape {
				p.Shape = append(p.Shape, plugins.Point{Utilization: int64(point.Utilization), Score: int64(point.Score)})
			}
		} else if s.Type == schedulerconfig.RequestedToCapacityRatio {
			return nil, errors.New("scoringStrategy.requestedToCapacityRatio: Required value: it holds the shape that this type scores by")
		}
	}
	return p, nil
}

// checkShape holds a curve's points to their rules: utilization rises from point to point within 0 and 100, scores lie within 0 and 10.
func checkShape(shape []schedulerconfig.UtilizationShapePoint) error {
	for i, p := range shape {
		switch {
		case p.Utilization < 0 || p.Utilization > 100:
			return fmt.Errorf("[%d].utilization: Invalid value: %d: not in valid range [0-100]", i, p.Utilization)
		case p.Score < 0 || p.Score > 10:
			return fmt.Errorf("[%d].score: Invalid value: %d: not in valid range [0-10]", i, p.Score)
		case i > 0 && p.Utilization <= shape[i-1].Utilization:
			return fmt.Errorf("[%d].utilization: Invalid value: %d: utilization values must be sorted in increasing order", i, p.Utilization)
		}
	}
	return nil
}

func balancedAllocation(args arguments, _ Inputs) (plugins.Plugin, error) {
	var a schedulerconfig.NodeResourcesBalancedAllocationArgs
	err := args.decode("NodeResourcesBalancedAllocation", &a)
	if err != nil {
		return nil, err
	}
	p := plugins.NodeResourcesBalancedAllocation{Resources: cpuAndMemory()}
	if len(a.Resources) > 0 {
		p.Resources, err = weighted(a.Resources)
	}
	return p, err
}

func cpuAndMemory() []plugins.Weighted {
	return []plugins.Weighted{{Name: v1.ResourceCPU, Weight: 1}, {Name: v1.ResourceMemory, Weight: 1}}
}

func weighted(specs []schedulerconfig.ResourceSpec) ([]plugins.Weighted, error) {
	var out []plugins.Weighted
	for i, s := range specs {
		if s.Name == "" {
			return nil, fmt.Errorf("resources[%d].name: Required value", i)
		}
		if s.Weight < 0 || s.Weight > 100 {
			return nil, fmt.Errorf("resources[%d].weight: Invalid value: %d: not in valid range [1-100]", i, s.Weight)
		}
		out = append(out, plugins.Weighted{Name: v1.ResourceName(s.Name), Weight: max(1, s.Weight)})
	}
	return out, nil
}
