package plugins

import (
	"fmt"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/storage/volume"
	"k8s.io/kube-scheduler/framework"

	"pilotis.dev/cmd/kube-scheduler/snapshot"
)

const (
	reasonUnboundImmediate = "pod has unbound immediate PersistentVolumeClaims"
	reasonBind             = "node(s) didn't find available persistent volumes to bind"
	reasonNodeConflict     = "node(s) didn't match PersistentVolume's node affinity"
	reasonMissingVolume    = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
)

// VolumeBinding keeps pods to the nodes that their volumes reach, and for claims that wait for a consumer finds
// volumes to bind, or nodes that one can be provisioned for.
type VolumeBinding struct {
	Volumes
	// BindTimeout bounds the wait for the volumes of a pod to be bound or provisioned.
	BindTimeout time.Duration
}

func (VolumeBinding) Name() string { return "VolumeBinding" }

// Binding is what must be written before a pod is bound to a node: volumes for claims, and claims to be provisioned
// for the node.
type Binding struct {
	Static    []StaticBinding
	Provision []*v1.PersistentVolumeClaim
	// Timeout bounds the wait for all of it.
	Timeout time.Duration
}

// StaticBinding reserves a volume for a claim.
type StaticBinding struct {
	Claim  *v1.PersistentVolumeClaim
	Volume *v1.PersistentVolume
}

// Binder is a Filter that found bindings on the way.
type Binder interface {
	Filter
	// Binding gives what Filter found for the node; nil: nothing is to be written.
	Binding(node string) *Binding
}

type volumeFilter struct {
	plugin  VolumeBinding
	bound   []*v1.PersistentVolume
	waiting []*v1.PersistentVolumeClaim

	mu       sync.Mutex
	bindings map[string]*Binding
}

// PrepareFilter sorts the pod's claims.
func (p VolumeBinding) PrepareFilter(c *Cycle) (Filter, *framework.Status) {
	claims, status := p.claims(c.Pod.Pod)
	if status != nil {
		return nil, status
	}
	if len(claims) == 0 {
		return nil, nil
	}
	f := &volumeFilter{plugin: p, bindings: map[string]*Binding{}}
	for _, claim := range claims {
		class := p.class(claim)
		switch {
		case claim.Spec.VolumeName != "":
			pv, err := p.Volumes.Volumes.Get(claim.Spec.VolumeName)
			if err != nil {
				return nil, framework.NewStatus(framework.UnschedulableAndUnresolvable, reasonMissingVolume)
			}
			f.bound = append(f.bound, pv)
		case waitsForConsumer(class):
			f.waiting = append(f.waiting, claim)
		default:
			return nil, framework.NewStatus(framework.UnschedulableAndUnresolvable, reasonUnboundImmediate)
		}
	}
	return f, nil
}

func (f *volumeFilter) Filter(n *snapshot.Node) *framework.Status {
	for _, pv := range f.bound {
		if err := volume.CheckNodeAffinity(pv, n.Labels); err != nil {
			return framework.NewStatus(framework.UnschedulableAndUnresolvable, reasonNodeConflict)
		}
	}
	if len(f.waiting) == 0 {
		return nil
	}
	b, reason := f.plugin.find(f.waiting, n)
	if reason != "" {
		return framework.NewStatus(framework.UnschedulableAndUnresolvable, reason)
	}
	f.mu.Lock()
	f.bindings[n.Name] = b
	f.mu.Unlock()
	return nil
}

func (f *volumeFilter) Binding(node string) *Binding {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bindings[node]
}

// find looks for a volume for each claim on the node; a claim without one is provisioned when its class can.
func (p VolumeBinding) find(claims []*v1.PersistentVolumeClaim, n *snapshot.Node) (*Binding, string) {
	all, err := p.Volumes.Volumes.List(labels.Everything())
	if err != nil {
		return nil, err.Error()
	}
	b := &Binding{Timeout: p.BindTimeout}
	chosen := map[string]*v1.PersistentVolume{}
	for _, claim := range claims {
		pv, err := volume.FindMatchingVolume(claim, ofClass(all, claim), n.Node, chosen, true, true)
		if err != nil {
			return nil, fmt.Sprintf("persistentvolumeclaim %q: %v", claim.Name, err)
		}
		if pv != nil {
			chosen[pv.Name] = pv
			b.Static = append(b.Static, StaticBinding{Claim: claim, Volume: pv})
			continue
		}
		class := p.class(claim)
		if class == nil || class.Provisioner == "" || class.Provisioner == "kubernetes.io/no-provisioner" || !allowed(class, n) {
			return nil, reasonBind
		}
		b.Provision = append(b.Provision, claim)
	}
	return b, ""
}

func ofClass(all []*v1.PersistentVolume, claim *v1.PersistentVolumeClaim) []*v1.PersistentVolume {
	name := volume.GetPersistentVolumeClaimClass(claim)
	var out []*v1.PersistentVolume
	for _, pv := range all {
		if volume.GetPersistentVolumeClass(pv) == name {
			out = append(out, pv)
		}
	}
	return out
}

// allowed reports whether the class provisions for the node's topology (allowedTopologies: terms are alternatives).
func allowed(class *storagev1.StorageClass, n *snapshot.Node) bool {
	if len(class.AllowedTopologies) == 0 {
		return true
	}
	for _, term := range class.AllowedTopologies {
		matches := true
		for _, e := range term.MatchLabelExpressions {
			value, ok := n.Labels[e.Key]
			found := false
			for _, v := range e.Values {
				found = found || (ok && v == value)
			}
			matches = matches && found
		}
		if matches {
			return true
		}
	}
	return false
}

// Wakes: volumes, claims, classes or nodes change.
func (VolumeBinding) Wakes(e Event, _ *snapshot.Pod) bool { return volumeEvent(e) }

// VolumeZone keeps pods to the zone and region that a bound volume's labels name.
type VolumeZone struct{ Volumes }

func (VolumeZone) Name() string { return "VolumeZone" }

// PrepareFilter collects the labels.
func (p VolumeZone) PrepareFilter(c *Cycle) (Filter, *framework.Status) {
	claims, status := p.claims(c.Pod.Pod)
	if status != nil {
		return nil, nil // VolumeBinding says so
	}
	type topology struct {
		key    string
		values map[string]bool
	}
	var wanted []topology
	for _, claim := range claims {
		pv, err := p.Volumes.Volumes.Get(claim.Spec.VolumeName)
		if claim.Spec.VolumeName == "" || err != nil {
			continue
		}
		for _, key := range []string{v1.LabelTopologyZone, v1.LabelTopologyRegion, v1.LabelFailureDomainBetaZone, v1.LabelFailureDomainBetaRegion} {
			if value, ok := pv.Labels[key]; ok {
				wanted = append(wanted, topology{key, zones(value)})
			}
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	return FilterFunc(func(n *snapshot.Node) *framework.Status {
		for _, w := range wanted {
			if value, ok := n.Labels[w.key]; !ok || !w.values[value] {
				return framework.NewStatus(framework.UnschedulableAndUnresolvable, "node(s) had no available volume zone")
			}
		}
		return nil
	}), nil
}

// zones splits a volume's label: several zones are joined by two underscores.
func zones(value string) map[string]bool {
	set := map[string]bool{}
	for start, i := 0, 0; i <= len(value); i++ {
		if i == len(value) || (i+1 < len(value) && value[i:i+2] == "__") {
			set[value[start:i]] = true
			start = i + 2
			i++
		}
	}
	return set
}

// Wakes: volumes, claims, classes or nodes change.
func (VolumeZone) Wakes(e Event, _ *snapshot.Pod) bool { return volumeEvent(e) }

func keyOf(claim *v1.PersistentVolumeClaim) types.NamespacedName {
	return types.NamespacedName{Namespace: claim.Namespace, Name: claim.Name}
}
