package admission

import (
	"context"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"
)

// pods: a kubelet shows its static pods as mirror pods, writes the status of pods on its node, deletes and evicts them.
func (p *nodeRestriction) pods(ctx context.Context, name string, a admission.Attributes) error {
	switch a.GetSubresource() {
	case "":
		switch a.GetOperation() {
		case admission.Create:
			return p.mirrorPod(ctx, name, a)
		case admission.Delete:
			return p.onNode(ctx, name, a.GetNamespace(), a.GetName(), "delete")
		}
		return refuse("unexpected operation %q, node %q can only create and delete mirror pods", a.GetOperation(), name)
	case "status":
		return podStatus(name, a)
	case "eviction":
		return p.eviction(ctx, name, a)
	}
	return refuse("unexpected pod subresource %q, only 'status' and 'eviction' are allowed", a.GetSubresource())
}

// mirrorPod: a pod that a kubelet creates must be a mirror of a static pod, be on its node, belong to its node and give
// no access to anything.
func (p *nodeRestriction) mirrorPod(ctx context.Context, name string, a admission.Attributes) error {
	pod, err := object[*corev1.Pod](a)
	if err != nil {
		return err
	}
	if !isMirror(pod) {
		return refuse("pod does not have %q annotation, node %q can only create mirror pods", corev1.MirrorPodAnnotationKey, name)
	}
	if pod.Spec.NodeName != name {
		return refuse("node %q can only create pods with spec.nodeName set to itself", name)
	}
	if err := p.ownedByNode(ctx, name, pod); err != nil {
		return err
	}
	if pod.Spec.ServiceAccountName != "" {
		return refuse("node %q can not create pods that reference a service account", name)
	}
	if len(secretsOf(pod)) > 0 {
		return refuse("node %q can not create pods that reference secrets", name)
	}
	if usesConfigMaps(pod) {
		return refuse("node %q can not create pods that reference configmaps", name)
	}
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.PersistentVolumeClaim != nil || v.Ephemeral != nil {
			return refuse("node %q can not create pods that reference persistentvolumeclaims", name)
		}
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			switch {
			case s.ServiceAccountToken != nil:
				return refuse("node %q can not create pods that reference service account tokens", name)
			case s.ClusterTrustBundle != nil:
				return refuse("node %q can not create pods that reference clustertrustbundles", name)
			case s.PodCertificate != nil:
				return refuse("node %q can not create pods that reference podcertificates", name)
			}
		}
	}
	if len(pod.Spec.ResourceClaims) > 0 || len(pod.Status.ResourceClaimStatuses) > 0 || pod.Status.ExtendedResourceClaimStatus != nil {
		return refuse("node %q can not create pods that reference resourceclaims", name)
	}
	return nil
}

// ownedByNode: a mirror pod goes with its node, and with nothing else.
func (p *nodeRestriction) ownedByNode(ctx context.Context, name string, pod *corev1.Pod) error {
	if len(pod.OwnerReferences) != 1 {
		return refuse("node %q can only create pods with a single owner reference set to itself", name)
	}
	owner := pod.OwnerReferences[0]
	if owner.APIVersion != "v1" || owner.Kind != "Node" || owner.Name != name {
		return refuse("node %q can only create pods with an owner reference set to itself", name)
	}
	if !isTrue(owner.Controller) {
		return refuse("node %q can only create pods with a controller reference set to itself", name)
	}
	if isTrue(owner.BlockOwnerDeletion) {
		return refuse("node %q must not set blockOwnerDeletion on an owner reference", name)
	}
	n, err := p.lookup.Node(ctx, name, string(owner.UID))
	if apierrors.IsNotFound(err) {
		return refuse("node %q has no Node object yet", name)
	}
	if err != nil {
		return err
	}
	if n.UID != owner.UID {
		return refuse("node %s UID mismatch: expected %s got %s", name, owner.UID, n.UID)
	}
	return nil
}

func usesConfigMaps(pod *corev1.Pod) bool {
	uses := false
	eachContainer(&pod.Spec, func(_ string, _ int, c *corev1.Container) {
		for _, f := range c.EnvFrom {
			uses = uses || f.ConfigMapRef != nil
		}
		for _, e := range c.Env {
			uses = uses || (e.ValueFrom != nil && e.ValueFrom.ConfigMapKeyRef != nil)
		}
	})
	for _, v := range pod.Spec.Volumes {
		uses = uses || v.ConfigMap != nil
		if v.Projected != nil {
			for _, s := range v.Projected.Sources {
				uses = uses || s.ConfigMap != nil
			}
		}
	}
	return uses
}

// onNode refuses a verb on pods of other nodes.
func (p *nodeRestriction) onNode(ctx context.Context, name, namespace, podName, verb string) error {
	pod, err := p.lookup.Pod(ctx, namespace, podName, "")
	if err != nil {
		return err
	}
	if pod.Spec.NodeName != name {
		return refuse("node %q can only %s pods with spec.nodeName set to itself", name, verb)
	}
	return nil
}

func podStatus(name string, a admission.Attributes) error {
	if a.GetOperation() != admission.Update {
		return refuse("unexpected operation %q", a.GetOperation())
	}
	old, err := oldObject[*corev1.Pod](a)
	if err != nil {
		return err
	}
	pod, err := object[*corev1.Pod](a)
	if err != nil {
		return err
	}
	switch {
	case old.Spec.NodeName != name:
		return refuse("node %q can only update pod status for pods with spec.nodeName set to itself", name)
	case !equality.Semantic.DeepEqual(old.Labels, pod.Labels):
		return refuse("node %q cannot update labels through pod status", name)
	case !equality.Semantic.DeepEqual(old.Status.ResourceClaimStatuses, pod.Status.ResourceClaimStatuses):
		return refuse("node %q cannot update resource claim statuses", name)
	case !equality.Semantic.DeepEqual(old.Status.ExtendedResourceClaimStatus, pod.Status.ExtendedResourceClaimStatus):
		return refuse("node %q cannot update extended resource claim status", name)
	}
	return nil
}

func (p *nodeRestriction) eviction(ctx context.Context, name string, a admission.Attributes) error {
	if a.GetOperation() != admission.Create {
		return refuse("unexpected operation %s", a.GetOperation())
	}
	podName := a.GetName()
	if e, ok := a.GetObject().(*policyv1.Eviction); ok && e.Name != "" {
		if podName != "" && podName != e.Name {
			return refuse("eviction of pod %q names pod %q", podName, e.Name)
		}
		podName = e.Name
	}
	if podName == "" {
		return refuse("could not determine pod from request data")
	}
	return p.onNode(ctx, name, a.GetNamespace(), podName, "evict")
}

// claimStatus: of a claim, a kubelet writes what it knows after growing the file system.
func claimStatus(_ context.Context, name string, a admission.Attributes) error {
	if a.GetOperation() != admission.Update || a.GetSubresource() != "status" {
		return refuse("unexpected operation %q or subresource %q: node %q can only update the status of a persistentvolumeclaim", a.GetOperation(), a.GetSubresource(), name)
	}
	old, err := oldObject[*corev1.PersistentVolumeClaim](a)
	if err != nil {
		return err
	}
	claim, err := object[*corev1.PersistentVolumeClaim](a)
	if err != nil {
		return err
	}
	before, after := old.DeepCopy(), claim.DeepCopy()
	after.ManagedFields, after.ResourceVersion = before.ManagedFields, before.ResourceVersion
	after.Status.Capacity = before.Status.Capacity
	after.Status.Conditions = before.Status.Conditions
	after.Status.AllocatedResources = before.Status.AllocatedResources
	after.Status.AllocatedResourceStatuses = before.Status.AllocatedResourceStatuses
	if !equality.Semantic.DeepEqual(before, after) {
		return refuse("node %q is not allowed to update fields other than status.quantity and status.conditions", name)
	}
	return nil
}

// podCertificateRequest: a kubelet asks for certificates of pods on its node, in their name.
func (p *nodeRestriction) podCertificateRequest(ctx context.Context, name string, a admission.Attributes) error {
	if a.GetOperation() != admission.Create || a.GetSubresource() != "" {
		return refuse("unexpected operation %q: nodes can only create podcertificaterequests", a.GetOperation())
	}
	req, err := object[*certificatesv1.PodCertificateRequest](a)
	if err != nil {
		return err
	}
	if string(req.Spec.NodeName) != name {
		return refuse("PodCertificateRequest.Spec.NodeName=%q, which is not the requesting node %q", req.Spec.NodeName, name)
	}
	pod, err := p.lookup.Pod(ctx, a.GetNamespace(), req.Spec.PodName, string(req.Spec.PodUID))
	if apierrors.IsNotFound(err) {
		return refuse("PodCertificateRequest for pod \"%s/%s\" which does not exist", a.GetNamespace(), req.Spec.PodName)
	}
	if err != nil {
		return err
	}
	switch {
	case pod.UID != req.Spec.PodUID:
		return refuse("PodCertificateRequest for pod \"%s/%s\" contains pod UID (%q) which differs from running pod %q", a.GetNamespace(), req.Spec.PodName, req.Spec.PodUID, pod.UID)
	case pod.Spec.NodeName != name:
		return refuse("pod %q is not running on node %q", pod.Name, name)
	case isMirror(pod):
		return refuse("pod %q is a mirror pod", pod.Name)
	case pod.Spec.ServiceAccountName != req.Spec.ServiceAccountName:
		return refuse("PodCertificateRequest for pod \"%s/%s\" contains serviceAccountName (%q) that differs from running pod (%q)", a.GetNamespace(), req.Spec.PodName, req.Spec.ServiceAccountName, pod.Spec.ServiceAccountName)
	}
	account, err := p.lookup.ServiceAccount(ctx, a.GetNamespace(), req.Spec.ServiceAccountName, string(req.Spec.ServiceAccountUID))
	if err != nil {
		return err
	}
	if account.UID != req.Spec.ServiceAccountUID {
		return refuse("PodCertificateRequest for pod \"%s/%s\" names service account UID %q; the UID of service account %q is %q", a.GetNamespace(), req.Spec.PodName, req.Spec.ServiceAccountUID, account.Name, account.UID)
	}
	n, err := p.lookup.Node(ctx, name, string(req.Spec.NodeUID))
	if err != nil {
		return err
	}
	if n.UID != req.Spec.NodeUID {
		return refuse("PodCertificateRequest names node UID %q; the UID of node %q is %q", req.Spec.NodeUID, name, n.UID)
	}
	return nil
}
