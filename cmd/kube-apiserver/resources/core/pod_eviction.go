package core

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerrors "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/client-go/util/retry"
	pdbconditions "k8s.io/component-helpers/apps/poddisruptionbudget"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// disruptedMost bounds the pods that a budget remembers as on their way out; a controller that does not keep up
// must not fill etcd.
const disruptedMost = 2000

// podEviction is pods/eviction: a deletion that minds PodDisruptionBudgets (API-initiated eviction).
type podEviction struct{ pods, budgets *kind.Store }

var (
	_ rest.NamedCreater             = (*podEviction)(nil)
	_ rest.GroupVersionKindProvider = (*podEviction)(nil)
)

// New implements rest.Storage.
func (e *podEviction) New() runtime.Object { return &policyv1.Eviction{} }

// Destroy implements rest.Storage.
func (e *podEviction) Destroy() {}

// GroupVersionKind implements rest.GroupVersionKindProvider.
func (e *podEviction) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return policyv1.SchemeGroupVersion.WithKind("Eviction")
}

// Create implements rest.NamedCreater.
func (e *podEviction) Create(ctx context.Context, name string, obj runtime.Object, admit rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	eviction, ok := obj.(*policyv1.Eviction)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Eviction object: %T", obj))
	}
	if name != eviction.Name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Eviction object")
	}
	deletion := deletionOf(eviction, options)
	if admit != nil {
		if err := admit(ctx, eviction.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	pod, err := e.pod(ctx, name)
	if err != nil {
		return nil, err
	}
	done := &metav1.Status{Status: metav1.StatusSuccess}
	if needsNoBudget(pod) {
		return done, e.evictUnbudgeted(ctx, name, deletion)
	}
	keep, err := e.spend(ctx, pod, dryrun.IsDryRun(deletion.DryRun))
	if err != nil {
		return nil, err
	}
	if !keep {
		return done, e.evict(ctx, name, deletion)
	}
	// The budget was not spent because the pod is unhealthy: delete exactly what was looked at.
	err = e.evict(ctx, name, pinned(deletion, pod))
	if apierrors.IsConflict(err) && !pins(deletion) {
		return nil, tooMany("The pod was changed while it was evicted.", nil)
	}
	return done, err
}

func deletionOf(e *policyv1.Eviction, options *metav1.CreateOptions) *metav1.DeleteOptions {
	deletion := &metav1.DeleteOptions{}
	if e.DeleteOptions != nil {
		deletion = e.DeleteOptions.DeepCopy()
	}
	if len(options.DryRun) > 0 {
		deletion.DryRun = options.DryRun
	}
	return deletion
}

// pins says whether the client itself names the version that it means.
func pins(deletion *metav1.DeleteOptions) bool {
	return deletion.Preconditions != nil && deletion.Preconditions.ResourceVersion != nil
}

func pinned(deletion *metav1.DeleteOptions, pod *corev1.Pod) *metav1.DeleteOptions {
	out := deletion.DeepCopy()
	if out.Preconditions == nil {
		out.Preconditions = &metav1.Preconditions{}
	}
	if out.Preconditions.ResourceVersion == nil {
		out.Preconditions.ResourceVersion = &pod.ResourceVersion
	}
	return out
}

func (e *podEviction) pod(ctx context.Context, name string) (*corev1.Pod, error) {
	obj, err := e.pods.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return obj.(*corev1.Pod), nil
}

// needsNoBudget: a pod that does not run or is going takes nothing from anybody.
func needsNoBudget(p *corev1.Pod) bool {
	switch p.Status.Phase {
	case corev1.PodSucceeded, corev1.PodFailed, corev1.PodPending:
		return true
	}
	return p.DeletionTimestamp != nil
}

// evictUnbudgeted deletes the pod as long as it needs no budget: it may begin to run meanwhile.
func (e *podEviction) evictUnbudgeted(ctx context.Context, name string, deletion *metav1.DeleteOptions) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		pod, err := e.pod(ctx, name)
		if err != nil {
			return err
		}
		if !needsNoBudget(pod) {
			return tooMany("The pod began to run while it was evicted.", nil)
		}
		return e.evict(ctx, name, pinned(deletion, pod))
	})
}

// spend takes one disruption from the pod's budget. keep says that nothing was taken because an unhealthy pod may go.
func (e *podEviction) spend(ctx context.Context, pod *corev1.Pod, dryRun bool) (keep bool, err error) {
	budgets, err := e.budgetsOf(ctx, pod)
	if err != nil {
		return false, err
	}
	switch len(budgets) {
	case 0:
		return false, nil
	case 1:
	default:
		return false, apierrors.NewInternalError(fmt.Errorf(
			"this pod has more than one PodDisruptionBudget, which the eviction subresource does not support: %s and %s", budgets[0].Name, budgets[1].Name))
	}
	if !ready(pod) && unhealthyMayGo(budgets[0]) {
		return true, nil
	}
	key, err := e.budgets.KeyFunc(ctx, budgets[0].Name)
	if err != nil {
		return false, err
	}
	err = e.budgets.Storage.GuaranteedUpdate(ctx, key, &policyv1.PodDisruptionBudget{}, false, nil, storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
		b := obj.(*policyv1.PodDisruptionBudget)
		return b, take(b, pod.Name)
	}), dryRun, nil)
	if err != nil {
		err = storeerrors.InterpretUpdateError(err, policyv1.Resource("poddisruptionbudgets"), budgets[0].Name)
		if apierrors.IsConflict(err) || storage.IsConflict(err) {
			return false, tooMany(fmt.Sprintf("The disruption budget %s is busy.", budgets[0].Name), nil)
		}
	}
	return false, err
}

func (e *podEviction) budgetsOf(ctx context.Context, pod *corev1.Pod) ([]*policyv1.PodDisruptionBudget, error) {
	list := &policyv1.PodDisruptionBudgetList{}
	key := e.budgets.KeyRootFunc(ctx)
	if err := e.budgets.Storage.GetList(ctx, key, storage.ListOptions{Predicate: storage.Everything, Recursive: true, ResourceVersion: ""}, list); err != nil {
		return nil, storeerrors.InterpretListError(err, policyv1.Resource("poddisruptionbudgets"))
	}
	var out []*policyv1.PodDisruptionBudget
	for i := range list.Items {
		b := &list.Items[i]
		selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		if err != nil || b.Namespace != pod.Namespace {
			continue // a selector that nobody understands selects nothing
		}
		if selector.Matches(labels.Set(pod.Labels)) {
			out = append(out, b)
		}
	}
	return out, nil
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// unhealthyMayGo follows spec.unhealthyPodEvictionPolicy (KEP-3017).
func unhealthyMayGo(b *policyv1.PodDisruptionBudget) bool {
	if p := b.Spec.UnhealthyPodEvictionPolicy; p != nil && *p == policyv1.AlwaysAllow {
		return true
	}
	return b.Status.DesiredHealthy > 0 && b.Status.CurrentHealthy >= b.Status.DesiredHealthy
}

// take spends one disruption of b on the pod.
func take(b *policyv1.PodDisruptionBudget, pod string) error {
	switch {
	case b.Status.ObservedGeneration < b.Generation:
		return tooMany(fmt.Sprintf("The disruption budget %s is still being processed by the server.", b.Name), b)
	case b.Status.DisruptionsAllowed < 0:
		return apierrors.NewForbidden(policyv1.Resource("poddisruptionbudget"), b.Name, fmt.Errorf("pdb disruptions allowed is negative"))
	case len(b.Status.DisruptedPods) > disruptedMost:
		return apierrors.NewForbidden(policyv1.Resource("poddisruptionbudget"), b.Name,
			fmt.Errorf("DisruptedPods map too big - too many evictions not confirmed by PDB controller"))
	case b.Status.DisruptionsAllowed == 0:
		if c := apimeta.FindStatusCondition(b.Status.Conditions, policyv1.DisruptionAllowedCondition); c != nil && c.Reason == policyv1.SyncFailedReason {
			return tooMany(fmt.Sprintf("The disruption budget %s does not allow evicting pods currently because it failed sync: %v", b.Name, c.Message), b)
		}
		return tooMany(fmt.Sprintf("The disruption budget %s needs %d healthy pods and has %d currently", b.Name, b.Status.DesiredHealthy, b.Status.CurrentHealthy), b)
	}
	b.Status.DisruptionsAllowed--
	if b.Status.DisruptionsAllowed == 0 {
		pdbconditions.UpdateDisruptionAllowedCondition(b)
	}
	if b.Status.DisruptedPods == nil {
		b.Status.DisruptedPods = map[string]metav1.Time{}
	}
	b.Status.DisruptedPods[pod] = metav1.NewTime(time.Now())
	return nil
}

// tooMany tells the client to come again; kubectl drain waits on this answer.
func tooMany(cause string, b *policyv1.PodDisruptionBudget) error {
	err := apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 0)
	if b != nil && b.Status.ObservedGeneration < b.Generation {
		err = apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 10)
	}
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Type: policyv1.DisruptionBudgetCause, Message: cause})
	return err
}

// evict marks the pod as disrupted and deletes it.
func (e *podEviction) evict(ctx context.Context, name string, deletion *metav1.DeleteOptions) error {
	if !dryrun.IsDryRun(deletion.DryRun) {
		key, err := e.pods.KeyFunc(ctx, name)
		if err != nil {
			return err
		}
		preconditions := &storage.Preconditions{}
		if p := deletion.Preconditions; p != nil {
			preconditions.UID, preconditions.ResourceVersion = p.UID, p.ResourceVersion
		}
		pod := &corev1.Pod{}
		err = e.pods.Storage.GuaranteedUpdate(ctx, key, pod, false, preconditions, storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
			p := obj.(*corev1.Pod)
			SetPodCondition(&p.Status, corev1.PodCondition{
				Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, ObservedGeneration: p.Generation,
				Reason: "EvictionByEvictionAPI", Message: "Eviction API: evicting",
			})
			return p, nil
		}), false, nil)
		if err != nil {
			return storeerrors.InterpretUpdateError(err, corev1.Resource("pods"), name)
		}
		if p := deletion.Preconditions; p != nil && p.ResourceVersion != nil {
			deletion = deletion.DeepCopy() // the mark above is ours
			deletion.Preconditions.ResourceVersion = &pod.ResourceVersion
		}
	}
	_, _, err := e.pods.Delete(ctx, name, rest.ValidateAllObjectFunc, deletion)
	return err
}
