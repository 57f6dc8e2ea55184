// Package bind carries decisions out. It is the only writer of the scheduler.
package bind

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/component-helpers/storage/volume"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kube-scheduler/cycle"
	"pilotis.dev/cmd/kube-scheduler/snapshot"
)

// annotationSelectedNode asks a provisioner to make the claim's volume for a node.
const annotationSelectedNode = "volume.kubernetes.io/selected-node"

// Writer writes to the API.
type Writer struct {
	Client   kubernetes.Interface
	Recorder func(scheduler string) events.EventRecorder
	Claims   corelisters.PersistentVolumeClaimLister
}

// Bind binds the pod to the node, its volumes first.
func (w *Writer) Bind(ctx context.Context, pod *snapshot.Pod, d cycle.Decision) error {
	if d.Volumes != nil {
		if err := w.bindVolumes(ctx, d); err != nil {
			return fmt.Errorf("binding volumes: %w", err)
		}
	}
	err := w.Client.CoreV1().Pods(pod.Namespace).Bind(ctx, &v1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     v1.ObjectReference{Kind: "Node", Name: d.Node},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	w.Recorder(pod.Spec.SchedulerName).Eventf(pod.Pod, nil, v1.EventTypeNormal, "Scheduled", "Binding", "Successfully assigned %v/%v to %v", pod.Namespace, pod.Name, d.Node)
	return nil
}

// bindVolumes reserves volumes for claims, asks for provisioning, and waits until the claims are bound.
func (w *Writer) bindVolumes(ctx context.Context, d cycle.Decision) error {
	for _, b := range d.Volumes.Static {
		pv, changed, err := volume.GetBindVolumeToClaim(b.Volume, b.Claim)
		if err != nil {
			return err
		}
		if !changed {
			continue
		}
		if _, err := w.Client.CoreV1().PersistentVolumes().Update(ctx, pv, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	for _, claim := range d.Volumes.Provision {
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q},"uid":%q}}`, annotationSelectedNode, d.Node, claim.UID)
		if _, err := w.Client.CoreV1().PersistentVolumeClaims(claim.Namespace).Patch(ctx, claim.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, d.Volumes.Timeout, true, func(context.Context) (bool, error) {
		return w.allBound(d)
	})
}

func (w *Writer) allBound(d cycle.Decision) (bool, error) {
	claims := append([]*v1.PersistentVolumeClaim{}, d.Volumes.Provision...)
	for _, b := range d.Volumes.Static {
		claims = append(claims, b.Claim)
	}
	for _, c := range claims {
		now, err := w.Claims.PersistentVolumeClaims(c.Namespace).Get(c.Name)
		if err != nil {
			return false, err
		}
		if now.Spec.VolumeName == "" && now.Annotations[annotationSelectedNode] != d.Node && contains(d.Volumes.Provision, c) && now.ResourceVersion != c.ResourceVersion {
			return false, fmt.Errorf("persistentvolumeclaim %q cannot be provisioned for node %q: the provisioner gave it back", c.Name, d.Node)
		}
		if now.Status.Phase != v1.ClaimBound {
			return false, nil
		}
	}
	return true, nil
}

func contains(list []*v1.PersistentVolumeClaim, c *v1.PersistentVolumeClaim) bool {
	for _, have := range list {
		if have == c {
			return true
		}
	}
	return false
}

// Unschedulable says in the pod's status, and in an event, why it waits. nominated promises it a node; nil leaves
// what is there.
func (w *Writer) Unschedulable(ctx context.Context, pod *v1.Pod, reason, message string, nominated *string) error {
	w.Recorder(pod.Spec.SchedulerName).Eventf(pod, nil, v1.EventTypeWarning, "FailedScheduling", "Scheduling", "%s", truncate(message))
	return w.patchStatus(ctx, pod, reason, message, nominated)
}

func truncate(message string) string {
	const limit = 1024 // bytes of an event's note
	if len(message) > limit {
		return message[:limit-4] + " ..."
	}
	return message
}

func (w *Writer) patchStatus(ctx context.Context, pod *v1.Pod, reason, message string, nominated *string) error {
	condition := v1.PodCondition{Type: v1.PodScheduled, ObservedGeneration: pod.Generation, Status: v1.ConditionFalse, Reason: reason, Message: message, LastTransitionTime: metav1.Now()}
	for _, c := range pod.Status.Conditions {
		if c.Type != v1.PodScheduled {
			continue
		}
		if c.Status == v1.ConditionFalse {
			condition.LastTransitionTime = c.LastTransitionTime
		}
		if c.Status == condition.Status && c.Reason == reason && c.Message == message && (nominated == nil || *nominated == pod.Status.NominatedNodeName) {
			return nil
		}
	}
	status := map[string]any{"conditions": []v1.PodCondition{condition}}
	if nominated != nil {
		status["nominatedNodeName"] = *nominated
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": status})
	if err != nil {
		return err
	}
	_, err = w.Client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// Evict ends the victims of a preemption, gracefully.
func (w *Writer) Evict(ctx context.Context, preemptor *v1.Pod, p *cycle.Preemption) error {
	for _, victim := range p.Victims {
		if victim.DeletionTimestamp != nil {
			continue
		}
		patch, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []v1.PodCondition{{
			Type: v1.DisruptionTarget, Status: v1.ConditionTrue, Reason: v1.PodReasonPreemptionByScheduler, ObservedGeneration: victim.Generation,
			Message: fmt.Sprintf("%s: preempting to accommodate a higher priority pod", preemptor.Spec.SchedulerName), LastTransitionTime: metav1.Now(),
		}}}})
		if err != nil {
			return err
		}
		if _, err := w.Client.CoreV1().Pods(victim.Namespace).Patch(ctx, victim.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		if err := w.Client.CoreV1().Pods(victim.Namespace).Delete(ctx, victim.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(victim.UID))}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		w.Recorder(preemptor.Spec.SchedulerName).Eventf(victim.Pod, preemptor, v1.EventTypeNormal, "Preempted", "Preempting", "Preempted by pod %v on node %v", preemptor.UID, p.Node)
		klog.FromContext(ctx).V(2).Info("Preempted", "victim", klog.KObj(victim), "preemptor", klog.KObj(preemptor), "node", p.Node)
	}
	return nil
}
