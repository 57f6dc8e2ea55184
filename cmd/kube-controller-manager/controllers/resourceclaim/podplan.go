package resourceclaim

import (
	"errors"
	"fmt"
	"maps"

	v1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	library "k8s.io/dynamic-resource-allocation/resourceclaim"
	"k8s.io/utils/ptr"
)

// annotationName on a claim made from a template names the pod's entry that it is for.
const annotationName = "resource.kubernetes.io/pod-claim-name"

// PodView is what PlanPod looks at. Both return nil for what does not exist.
type PodView struct {
	Claim    func(name string) *resourcev1.ResourceClaim
	Template func(name string) *resourcev1.ResourceClaimTemplate
	// Owned are the claims that the pod owns, whether its status names them or not.
	Owned []*resourcev1.ResourceClaim
}

// Want is an entry of spec.resourceClaims that lacks its claim.
type Want struct {
	// Entry is its name.
	Entry string
	// Claim is what to create; one with a name exists, and only the pod's status lacks it.
	Claim *resourcev1.ResourceClaim
}

// PodPlan is what a pod's claims need.
type PodPlan struct {
	Wants []Want
	// Reserve are allocated claims that a pod uses which got its node without the scheduler.
	Reserve []*resourcev1.ResourceClaim
}

// PlanPod decides about a pod. The error tells of entries that cannot be satisfied now; the plan holds for the others.
func PlanPod(pod *v1.Pod, view PodView) (PodPlan, error) {
	var plan PodPlan
	if pod.DeletionTimestamp != nil || done(pod) {
		return plan, nil
	}
	var errs []error
	for i := range pod.Spec.ResourceClaims {
		entry := &pod.Spec.ResourceClaims[i]
		want, claim, err := planEntry(pod, entry, view)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("PodResourceClaim %s: %w", entry.Name, err))
		case want != nil:
			plan.Wants = append(plan.Wants, Want{entry.Name, want})
		case claim != nil && pod.Spec.NodeName != "" && library.CanBeReserved(claim) && !library.IsReservedForPod(pod, claim, false) && claim.Status.Allocation != nil:
			plan.Reserve = append(plan.Reserve, claim)
		}
	}
	return plan, errors.Join(errs...)
}

// planEntry gives the claim that an entry lacks, or else the one that it has.
func planEntry(pod *v1.Pod, entry *v1.PodResourceClaim, view PodView) (want, have *resourcev1.ResourceClaim, err error) {
	name, ours, err := library.Name(pod, entry)
	switch {
	case err != nil && !errors.Is(err, library.ErrClaimNotFound):
		return nil, nil, err
	case err == nil && name == nil:
		return nil, nil, nil // none is needed
	case err == nil:
		have = view.Claim(*name)
		if have != nil && ours {
			err = library.IsForPod(pod, have, false)
		}
		if have != nil || !ours || err != nil {
			return nil, have, err
		}
	}
	for _, claim := range view.Owned { // an earlier try may have failed before the pod's status was written
		if claim.Annotations[annotationName] == entry.Name && claim.DeletionTimestamp == nil {
			return claim, nil, nil
		}
	}
	template := view.Template(*entry.ResourceClaimTemplateName)
	if template == nil {
		return nil, nil, fmt.Errorf("resource claim template %q: not found", *entry.ResourceClaimTemplateName)
	}
	return fromTemplate(pod, entry, template), nil, nil
}

func fromTemplate(pod *v1.Pod, entry *v1.PodResourceClaim, template *resourcev1.ResourceClaimTemplate) *resourcev1.ResourceClaim {
	annotations := maps.Clone(template.Spec.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[annotationName] = entry.Name
	return &resourcev1.ResourceClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pod.Namespace, GenerateName: generateName(pod.Name, entry.Name), Labels: template.Spec.Labels, Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID, Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true)}},
		},
		Spec: template.Spec.Spec,
	}
}

// generateName leaves room for the five characters that make it a name of 63, and takes from both parts alike.
func generateName(pod, entry string) string {
	const room = 63 - 5
	if len(pod)+len(entry)+2 <= room {
		return pod + "-" + entry + "-"
	}
	const half = (room - 2) / 2
	if len(pod) > half {
		pod = pod[:max(half, room-2-len(entry))]
	}
	return pod + "-" + entry[:min(len(entry), room-2-len(pod))] + "-"
}

// done tells whether a pod uses its claims no longer.
func done(pod *v1.Pod) bool {
	return pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed || pod.DeletionTimestamp != nil && pod.Spec.NodeName == ""
}
