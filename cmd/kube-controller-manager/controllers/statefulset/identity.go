// Package statefulset keeps pods with stable names, volumes and order: one pod for each ordinal of a StatefulSet.
package statefulset

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/ownership"
	"pilotis.dev/cmd/kube-controller-manager/controllers/pods"
)

var podName = regexp.MustCompile(`^(.*)-(0|[1-9][0-9]*)$`)

// ordinalOf splits a pod's name into the name of its StatefulSet and its ordinal; the ordinal is -1 when the name has none.
func ordinalOf(pod *v1.Pod) (set string, ordinal int) {
	match := podName.FindStringSubmatch(pod.Name)
	if match == nil {
		return "", -1
	}
	n, err := strconv.ParseInt(match[2], 10, 32)
	if err != nil {
		return "", -1
	}
	return match[1], int(n)
}

// memberOf tells whether a pod's name is one that set gives.
func memberOf(set *appsv1.StatefulSet, pod *v1.Pod) bool {
	name, ordinal := ordinalOf(pod)
	return ordinal >= 0 && name == set.Name
}

func start(set *appsv1.StatefulSet) int {
	if set.Spec.Ordinals == nil {
		return 0
	}
	return int(set.Spec.Ordinals.Start)
}

func wanted(set *appsv1.StatefulSet) int { return int(ptr.Deref(set.Spec.Replicas, 1)) }

// inRange tells whether the set wants a pod of this ordinal.
func inRange(set *appsv1.StatefulSet, ordinal int) bool {
	return ordinal >= start(set) && ordinal < start(set)+wanted(set)
}

// claimName is the name of the PersistentVolumeClaim that a template yields for an ordinal.
func claimName(set *appsv1.StatefulSet, template *v1.PersistentVolumeClaim, ordinal int) string {
	return fmt.Sprintf("%s-%s-%d", template.Name, set.Name, ordinal)
}

// claims returns the claims of an ordinal, by volume name.
func claims(set *appsv1.StatefulSet, ordinal int) []*v1.PersistentVolumeClaim {
	list := make([]*v1.PersistentVolumeClaim, 0, len(set.Spec.VolumeClaimTemplates))
	for i := range set.Spec.VolumeClaimTemplates {
		template := &set.Spec.VolumeClaimTemplates[i]
		claim := template.DeepCopy()
		claim.Name = claimName(set, template, ordinal)
		claim.Namespace = set.Namespace
		claim.Labels = maps.Clone(claim.Labels)
		if claim.Labels == nil {
			claim.Labels = map[string]string{}
		}
		if set.Spec.Selector != nil {
			maps.Copy(claim.Labels, set.Spec.Selector.MatchLabels)
		}
		claim.Status = v1.PersistentVolumeClaimStatus{}
		list = append(list, claim)
	}
	return list
}

// newPod makes the pod of an ordinal from the template of a revision.
func newPod(set *appsv1.StatefulSet, revision Revision, ordinal int) *v1.Pod {
	pod := pods.FromTemplate(revision.Template, set.Namespace, reference(set))
	pod.GenerateName = ""
	pod.Name = fmt.Sprintf("%s-%d", set.Name, ordinal)
	identify(set, pod)
	pod.Labels[appsv1.ControllerRevisionHashLabelKey] = revision.Name
	pod.Spec.Hostname = pod.Name
	pod.Spec.Subdomain = set.Spec.ServiceName
	var volumes []v1.Volume
	names := map[string]bool{}
	for i := range set.Spec.VolumeClaimTemplates {
		template := &set.Spec.VolumeClaimTemplates[i]
		names[template.Name] = true
		volumes = append(volumes, v1.Volume{Name: template.Name, VolumeSource: v1.VolumeSource{
			PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: claimName(set, template, ordinal)},
		}})
	}
	for _, volume := range pod.Spec.Volumes {
		if !names[volume.Name] {
			volumes = append(volumes, volume)
		}
	}
	pod.Spec.Volumes = volumes
	return pod
}

// identify sets the labels by which a single pod can be selected.
func identify(set *appsv1.StatefulSet, pod *v1.Pod) {
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	_, ordinal := ordinalOf(pod)
	pod.Labels[appsv1.StatefulSetPodNameLabel] = pod.Name
	pod.Labels[appsv1.PodIndexLabel] = strconv.Itoa(ordinal)
}

func identified(pod *v1.Pod) bool {
	_, ordinal := ordinalOf(pod)
	return pod.Labels[appsv1.StatefulSetPodNameLabel] == pod.Name && pod.Labels[appsv1.PodIndexLabel] == strconv.Itoa(ordinal)
}

func reference(set *appsv1.StatefulSet) metav1.OwnerReference {
	return ownership.Reference(set, appsv1.SchemeGroupVersion.String(), "StatefulSet")
}

// retention resolves spec.persistentVolumeClaimRetentionPolicy (KEP-1847): whether claims go with the set, and with a pod that
// is scaled away.
func retention(set *appsv1.StatefulSet) (withSet, withPod bool) {
	p := set.Spec.PersistentVolumeClaimRetentionPolicy
	if p == nil {
		return false, false
	}
	return p.WhenDeleted == appsv1.DeletePersistentVolumeClaimRetentionPolicyType, p.WhenScaled == appsv1.DeletePersistentVolumeClaimRetentionPolicyType
}

// claimOwners returns the owner references that claim should have, given the pod it belongs to, and whether they differ from
// those it has. A claim that something else controls is left alone.
func claimOwners(set *appsv1.StatefulSet, pod *v1.Pod, claim *v1.PersistentVolumeClaim) ([]metav1.OwnerReference, bool) {
	withSet, withPod := retention(set)
	_, ordinal := ordinalOf(pod)
	condemned := !inRange(set, ordinal)
	var want *metav1.OwnerReference
	switch {
	case condemned && withPod:
		want = ptr.To(ownership.Reference(pod, "v1", "Pod"))
	case withSet:
		want = ptr.To(reference(set))
	}
	if want != nil {
		if c := metav1.GetControllerOfNoCopy(claim); c != nil && c.UID != set.UID && c.UID != pod.UID {
			return claim.OwnerReferences, false
		}
	}
	var owners []metav1.OwnerReference
	have := false
	for _, ref := range claim.OwnerReferences {
		switch {
		case want != nil && ref.UID == want.UID:
			have = true
			owners = append(owners, ref)
		case ref.UID == set.UID, pod.UID != "" && ref.UID == pod.UID:
		default:
			owners = append(owners, ref)
		}
	}
	if want != nil && !have {
		owners = append(owners, *want)
	}
	return owners, len(owners) != len(claim.OwnerReferences) || want != nil && !have
}

// staleClaim tells whether a claim still belongs to an earlier pod of the same name, with which the garbage collector will
// delete it: the new pod has to wait, or it would lose its volume.
func staleClaim(pod *v1.Pod, claim *v1.PersistentVolumeClaim) bool {
	return slices.ContainsFunc(claim.OwnerReferences, func(ref metav1.OwnerReference) bool {
		return ref.Kind == "Pod" && ref.APIVersion == "v1" && ref.Name == pod.Name && ref.UID != pod.UID
	})
}
