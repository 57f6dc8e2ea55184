// Package daemonset keeps one pod on each node that fits.
package daemonset

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kube-controller-manager/controllers/ownership"
	"pilotis.dev/cmd/kube-controller-manager/controllers/pods"
)

const nodeNameField = "metadata.name"

// fit says what a DaemonSet wants of a node.
type fit struct {
	// run: a pod should be started; stay: a pod that runs there may stay.
	run, stay bool
}

// fits evaluates nodes for one DaemonSet.
type fits struct {
	template    v1.PodSpec
	tolerations []v1.Toleration
	affinity    nodeaffinity.RequiredNodeAffinity
}

func newFits(ds *appsv1.DaemonSet) fits {
	spec := ds.Spec.Template.Spec
	return fits{template: spec, tolerations: tolerationsOf(spec), affinity: nodeaffinity.NewRequiredNodeAffinity(spec.NodeSelector, spec.Affinity)}
}

// of applies the predicates that decide where daemons run: node name, node selector and required affinity, taints. Resources
// are the scheduler's business. A NoSchedule taint keeps new daemons away and leaves running ones alone.
func (f fits) of(node *v1.Node) fit {
	if f.template.NodeName != "" && f.template.NodeName != node.Name {
		return fit{}
	}
	if ok, err := f.affinity.Match(node); err != nil || !ok {
		return fit{}
	}
	if f.tolerates(node, func(t *v1.Taint) bool {
		return t.Effect == v1.TaintEffectNoExecute || t.Effect == v1.TaintEffectNoSchedule
	}) {
		return fit{run: true, stay: true}
	}
	return fit{stay: f.tolerates(node, func(t *v1.Taint) bool { return t.Effect == v1.TaintEffectNoExecute })}
}

func (f fits) tolerates(node *v1.Node, of func(*v1.Taint) bool) bool {
	_, untolerated := corev1.FindMatchingUntoleratedTaint(klog.Background(), node.Spec.Taints, f.tolerations, of, true)
	return !untolerated
}

// tolerationsOf adds to the template's tolerations those that every daemon has: it is there to serve the node in bad times too.
func tolerationsOf(spec v1.PodSpec) []v1.Toleration {
	taints := []v1.Toleration{
		{Key: v1.TaintNodeNotReady, Effect: v1.TaintEffectNoExecute},
		{Key: v1.TaintNodeUnreachable, Effect: v1.TaintEffectNoExecute},
		{Key: v1.TaintNodeDiskPressure, Effect: v1.TaintEffectNoSchedule},
		{Key: v1.TaintNodeMemoryPressure, Effect: v1.TaintEffectNoSchedule},
		{Key: v1.TaintNodePIDPressure, Effect: v1.TaintEffectNoSchedule},
		{Key: v1.TaintNodeUnschedulable, Effect: v1.TaintEffectNoSchedule},
	}
	if spec.HostNetwork {
		taints = append(taints, v1.Toleration{Key: v1.TaintNodeNetworkUnavailable, Effect: v1.TaintEffectNoSchedule})
	}
	tolerations := slices.Clone(spec.Tolerations)
	for _, t := range taints {
		t.Operator = v1.TolerationOpExists
		if i := slices.IndexFunc(tolerations, func(have v1.Toleration) bool { return have.MatchToleration(&t) }); i >= 0 {
			tolerations[i] = t // ours has no time limit
			continue
		}
		tolerations = append(tolerations, t)
	}
	return tolerations
}

// newPod makes the daemon of a node. The scheduler binds it, held to the node by a required affinity to its name.
func newPod(ds *appsv1.DaemonSet, node, hash string) *v1.Pod {
	pod := pods.FromTemplate(&ds.Spec.Template, ds.Namespace, reference(ds))
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[appsv1.ControllerRevisionHashLabelKey] = hash
	if generation := ds.Annotations[appsv1.DeprecatedTemplateGeneration]; generation != "" {
		pod.Labels[templateGeneration] = generation
	}
	pod.Spec.Tolerations = tolerationsOf(pod.Spec)
	pod.Spec.Affinity = bindTo(pod.Spec.Affinity, node)
	return pod
}

const templateGeneration = "pod-template-generation"

// bindTo replaces the required node affinity, which was evaluated already, by one to the node's name.
func bindTo(affinity *v1.Affinity, node string) *v1.Affinity {
	bound := affinity.DeepCopy()
	if bound == nil {
		bound = &v1.Affinity{}
	}
	if bound.NodeAffinity == nil {
		bound.NodeAffinity = &v1.NodeAffinity{}
	}
	bound.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
		MatchFields: []v1.NodeSelectorRequirement{{Key: nodeNameField, Operator: v1.NodeSelectorOpIn, Values: []string{node}}},
	}}}
	return bound
}

// targetOf is the node that a pod runs on or is held to; empty for a pod that is no daemon.
func targetOf(pod *v1.Pod) string {
	if pod.Spec.NodeName != "" {
		return pod.Spec.NodeName
	}
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.NodeAffinity == nil || pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return ""
	}
	for _, term := range pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, field := range term.MatchFields {
			if field.Key == nodeNameField && field.Operator == v1.NodeSelectorOpIn && len(field.Values) == 1 {
				return field.Values[0]
			}
		}
	}
	return ""
}

func reference(ds *appsv1.DaemonSet) metav1.OwnerReference {
	return ownership.Reference(ds, appsv1.SchemeGroupVersion.String(), "DaemonSet")
}
