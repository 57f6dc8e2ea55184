// Package podgc deletes pods that nobody else does: finished ones beyond a threshold, those of nodes that are gone or
// out of service, and terminating ones that never got a node.
package podgc

import (
	"context"
	"errors"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"

	"pilotis.dev/pkg/reconcile"
)

const (
	every = 20 * time.Second
	// quarantine is given to a node that is missing in the cache: it may be registering anew.
	quarantine = 40 * time.Second
)

// New returns the controller; threshold is the number of finished pods that are kept, 0 or less keeps all.
func New(f informers.SharedInformerFactory, client kubernetes.Interface, threshold int) *reconcile.Controller {
	pods, nodes := f.Core().V1().Pods(), f.Core().V1().Nodes()
	missing := map[string]time.Time{}
	c := reconcile.New("gc_controller", reconcile.Func(func(ctx context.Context, _ reconcile.Key) (reconcile.Result, error) {
		all, err := pods.Lister().List(labels.Everything())
		if err != nil {
			return reconcile.Result{}, err
		}
		known, err := nodes.Lister().List(labels.Everything())
		if err != nil {
			return reconcile.Result{}, err
		}
		gone, err := goneNodes(ctx, client, all, known, missing, time.Now())
		if err != nil {
			return reconcile.Result{}, err
		}
		var errs []error
		for _, d := range Plan(all, known, gone, threshold) {
			errs = append(errs, remove(ctx, client, d))
		}
		return reconcile.Result{RequeueAfter: every}, errors.Join(errs...)
	}), reconcile.Options{BaseDelay: every, MaxDelay: every}) // one pod that cannot be deleted does not slow the others down
	c.Watch(pods.Informer(), nil)
	c.Watch(nodes.Informer(), nil)
	c.Enqueue(reconcile.Key{Name: "all"})
	return c
}

// goneNodes are nodes that pods name, that were missing for long, and that the server does not have either.
func goneNodes(ctx context.Context, client kubernetes.Interface, pods []*v1.Pod, known []*v1.Node, missing map[string]time.Time, now time.Time) (map[string]bool, error) {
	here := map[string]bool{}
	for _, n := range known {
		here[n.Name] = true
		delete(missing, n.Name)
	}
	gone := map[string]bool{}
	for _, p := range pods {
		name := p.Spec.NodeName
		if name == "" || here[name] || gone[name] {
			continue
		}
		since, ok := missing[name]
		if !ok {
			missing[name] = now
			continue
		}
		if now.Sub(since) < quarantine {
			continue
		}
		if _, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
			gone[name] = true
		} else if err != nil {
			return nil, err
		}
	}
	return gone, nil
}

// Deletion is a pod to delete and why.
type Deletion struct {
	Pod *v1.Pod
	// Reason and Message of a DisruptionTarget condition; empty: the pod had finished or never ran.
	Reason, Message string
}

// Plan gives the pods to delete.
func Plan(pods []*v1.Pod, nodes []*v1.Node, gone map[string]bool, threshold int) []Deletion {
	outOfService := map[string]bool{}
	for _, n := range nodes {
		ready := slices.ContainsFunc(n.Status.Conditions, func(c v1.NodeCondition) bool { return c.Type == v1.NodeReady && c.Status == v1.ConditionTrue })
		for _, t := range n.Spec.Taints {
			if t.Key == v1.TaintNodeOutOfService && !ready {
				outOfService[n.Name] = true
			}
		}
	}
	var plan []Deletion
	var finished []*v1.Pod
	for _, p := range pods {
		switch {
		case gone[p.Spec.NodeName]:
			plan = append(plan, Deletion{p, "DeletionByPodGC", "PodGC: node no longer exists"})
		case p.DeletionTimestamp != nil && outOfService[p.Spec.NodeName]:
			plan = append(plan, Deletion{p, "DeletionByPodGC", "PodGC: node has the out-of-service taint"})
		case p.DeletionTimestamp != nil && p.Spec.NodeName == "":
			plan = append(plan, Deletion{Pod: p})
		case p.DeletionTimestamp == nil && (p.Status.Phase == v1.PodSucceeded || p.Status.Phase == v1.PodFailed):
			finished = append(finished, p)
		}
	}
	if threshold <= 0 || len(finished) <= threshold {
		return plan
	}
	slices.SortFunc(finished, func(a, b *v1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	for _, p := range finished[:len(finished)-threshold] {
		plan = append(plan, Deletion{Pod: p})
	}
	return plan
}

// remove marks a pod that had not finished as failed, and deletes it at once.
func remove(ctx context.Context, client kubernetes.Interface, d Deletion) error {
	p := d.Pod
	if p.Status.Phase != v1.PodSucceeded && p.Status.Phase != v1.PodFailed {
		condition := ""
		if d.Reason != "" {
			condition = `,"conditions":[{"type":"DisruptionTarget","status":"True","reason":"` + d.Reason + `","message":"` + d.Message + `","lastTransitionTime":"` + time.Now().UTC().Format(time.RFC3339) + `"}]`
		}
		patch := []byte(`{"metadata":{"uid":"` + string(p.UID) + `"},"status":{"phase":"Failed"` + condition + `}}`)
		if _, err := client.CoreV1().Pods(p.Namespace).Patch(ctx, p.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
			return ignoreNotFound(err)
		}
	}
	zero := int64(0)
	return ignoreNotFound(client.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: &zero, Preconditions: metav1.NewUIDPreconditions(string(p.UID))}))
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
