package apiserver

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"pilotis.dev/test/e2e/daemons"
)

// CVE-2025-5187: a node cannot have itself deleted, and so made anew without its taints and labels, by owner references.
func TestNodeCannotOwnItself(t *testing.T) {
	t.Parallel()
	api := shared.clientOf(t, shared.as(t, "system:node:owned", "system:nodes")).CoreV1().Nodes()
	owner := `[{"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"0"}]`
	_, err := api.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "owned", OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "gone", UID: "0"}}}}, metav1.CreateOptions{})
	refused(t, "registering with an owner", err, apierrors.IsForbidden)
	node := made(api.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "owned"}}, metav1.CreateOptions{})).or(t)
	for _, part := range [][]string{nil, {"status"}} {
		for kind, patch := range map[types.PatchType]string{
			types.MergePatchType: `{"metadata":{"ownerReferences":` + owner + `}}`, types.StrategicMergePatchType: `{"metadata":{"ownerReferences":` + owner + `}}`,
			types.JSONPatchType: `[{"op":"add","path":"/metadata/ownerReferences","value":` + owner + `}]`,
		} {
			_, err := api.Patch(t.Context(), "owned", kind, []byte(patch), metav1.PatchOptions{}, part...)
			refused(t, fmt.Sprintf("an owner by a %s of %v", kind, part), err, apierrors.IsForbidden)
		}
	}
	node.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "gone", UID: "0"}}
	_, err = api.Update(t.Context(), node, metav1.UpdateOptions{})
	refused(t, "an owner by an update", err, apierrors.IsForbidden)
	refused(t, "deleting itself", api.Delete(t.Context(), "owned", metav1.DeleteOptions{}), apierrors.IsForbidden)
}

// CVE-2025-4563: a node cannot use devices, or read anything, by a mirror pod that refers to it.
func TestMirrorPodRefersToNothing(t *testing.T) {
	t.Parallel()
	ns := shared.namespace(t)
	node := shared.node(t, "mirroring", 10250)
	kubelet := shared.clientOf(t, shared.as(t, "system:node:mirroring", "system:nodes")).CoreV1().Pods(ns)
	mirror := func(name string, change func(*corev1.Pod)) (*corev1.Pod, error) {
		p := podObject(name, node.Name)
		p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID, Controller: ptr.To(true)}}
		change(p)
		return kubelet.Create(t.Context(), p, metav1.CreateOptions{})
	}
	claim := corev1.PodResourceClaim{Name: "device", ResourceClaimName: ptr.To("somebodys")}
	volume := func(source corev1.VolumeSource) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: source}} }
	}
	var p *corev1.Pod
	daemons.Eventually(t, "the node to be known", func() (saw string, holds bool) {
		var err error
		p, err = mirror("plain", func(*corev1.Pod) {})
		return fmt.Sprint(err), err == nil
	})
	for name, change := range map[string]func(*corev1.Pod){
		"claim": func(p *corev1.Pod) { p.Spec.ResourceClaims = []corev1.PodResourceClaim{claim} },
		"template": func(p *corev1.Pod) {
			p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "device", ResourceClaimTemplateName: ptr.To("somebodys")}}
		},
		"claim-status": func(p *corev1.Pod) {
			p.Status.ResourceClaimStatuses = []corev1.PodResourceClaimStatus{{Name: "device", ResourceClaimName: ptr.To("somebodys")}}
		},
		"account": func(p *corev1.Pod) { p.Spec.ServiceAccountName = "default" },
		"secret":  volume(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "somebodys"}}),
		"map":     volume(corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "somebodys"}}}),
		"volume":  volume(corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "somebodys"}}),
		"token": volume(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}},
		}}}),
		"environment": func(p *corev1.Pod) {
			p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "somebodys"}}}}
		},
		"other-node": func(p *corev1.Pod) { p.Spec.NodeName = "other" },
		"no-mirror":  func(p *corev1.Pod) { p.Annotations = nil },
	} {
		_, err := mirror(name, change)
		refused(t, name, err, apierrors.IsForbidden)
	}
	p.Status.ResourceClaimStatuses = []corev1.PodResourceClaimStatus{{Name: "device", ResourceClaimName: ptr.To("somebodys")}}
	_, err := kubelet.UpdateStatus(t.Context(), p, metav1.UpdateOptions{})
	refused(t, "a claim by status", err, apierrors.IsForbidden)
	p.Status.ResourceClaimStatuses = nil
	p.Status.ExtendedResourceClaimStatus = &corev1.PodExtendedResourceClaimStatus{ResourceClaimName: "somebodys"}
	_, err = kubelet.UpdateStatus(t.Context(), p, metav1.UpdateOptions{})
	refused(t, "an extended resource's claim by status", err, apierrors.IsForbidden)
}
