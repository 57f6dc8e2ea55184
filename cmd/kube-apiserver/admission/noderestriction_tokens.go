package admission

import (
	"context"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// audienceVerb lets a kubelet ask for tokens of audiences that no pod names, for image credential providers (KEP-4412).
const audienceVerb = "request-serviceaccounts-token-audience"

// tokens: a kubelet asks for tokens of pods on its node, bound to them, and for the audiences that these pods use.
func (p *nodeRestriction) tokens(ctx context.Context, name string, a admission.Attributes) error {
	if a.GetOperation() != admission.Create || a.GetSubresource() != "token" {
		return nil
	}
	req, err := object[*authenticationv1.TokenRequest](a)
	if err != nil {
		return err
	}
	bound := req.Spec.BoundObjectRef
	if bound == nil || bound.APIVersion != "v1" || bound.Kind != "Pod" || bound.Name == "" {
		return refuse("node requested token not bound to a pod")
	}
	if bound.UID == "" {
		return refuse("node requested token with a pod binding without a uid")
	}
	pod, err := p.lookup.Pod(ctx, a.GetNamespace(), bound.Name, string(bound.UID))
	if apierrors.IsNotFound(err) {
		return refuse("%v", err)
	}
	if err != nil {
		return err
	}
	if bound.UID != pod.UID {
		return refuse("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", bound.UID)
	}
	if pod.Spec.NodeName != name {
		return refuse("node requested token bound to a pod scheduled on a different node")
	}
	return p.audience(ctx, a, req, pod)
}

// audience: a token for a foreign service in the hands of a node would let the node act there as the pod.
func (p *nodeRestriction) audience(ctx context.Context, a admission.Attributes, req *authenticationv1.TokenRequest, pod *corev1.Pod) error {
	if len(req.Spec.Audiences) == 0 {
		return nil // the API's own
	}
	if len(req.Spec.Audiences) > 1 {
		return refuse("node may only request 0 or 1 audiences")
	}
	audience := req.Spec.Audiences[0]
	for i := range pod.Spec.Volumes {
		if slices.Contains(p.volumeAudiences(a.GetNamespace(), pod.Name, &pod.Spec.Volumes[i]), audience) {
			return nil
		}
	}
	decision, _, err := p.authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: a.GetUserInfo(), Verb: audienceVerb, Namespace: a.GetNamespace(), Name: req.Name, Resource: audience, ResourceRequest: true,
	})
	if err == nil && decision == authorizer.DecisionAllow {
		return nil
	}
	return refuse("audience %q not found in pod spec volume, %s is not allowed", audience, audienceVerb)
}

// volumeAudiences are the audiences for which a volume gets tokens: of a projection, or as its CSI driver demands.
func (p *nodeRestriction) volumeAudiences(namespace, podName string, v *corev1.Volume) []string {
	var driver string
	switch {
	case v.Projected != nil:
		var out []string
		for _, s := range v.Projected.Sources {
			if s.ServiceAccountToken != nil {
				out = append(out, s.ServiceAccountToken.Audience)
			}
		}
		return out
	case v.CSI != nil:
		driver = v.CSI.Driver
	case v.PersistentVolumeClaim != nil:
		driver = p.claimDriver(namespace, v.PersistentVolumeClaim.ClaimName)
	case v.Ephemeral != nil:
		driver = p.claimDriver(namespace, podName+"-"+v.Name)
	}
	if driver == "" {
		return nil
	}
	d, err := p.drivers.Get(driver)
	if err != nil {
		return nil
	}
	var out []string
	for _, t := range d.Spec.TokenRequests {
		out = append(out, t.Audience)
	}
	return out
}

// claimDriver is the CSI driver of the volume that a claim is bound to.
func (p *nodeRestriction) claimDriver(namespace, name string) string {
	claim, err := p.claims.PersistentVolumeClaims(namespace).Get(name)
	if err != nil || claim.Spec.VolumeName == "" {
		return ""
	}
	volume, err := p.volumes.Get(claim.Spec.VolumeName)
	if err != nil || volume.Spec.CSI == nil {
		return ""
	}
	return volume.Spec.CSI.Driver
}
