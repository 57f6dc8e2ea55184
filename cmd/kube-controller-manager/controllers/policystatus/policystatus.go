// Package policystatus checks the expressions of ValidatingAdmissionPolicies against the schemas of what they match, and puts what it
// finds into their status as warnings (KEP-3488). A policy works as written in any case.
package policystatus

import (
	"context"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	admissioninformers "k8s.io/client-go/informers/admissionregistration/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"pilotis.dev/pkg/reconcile"
)

// Checker finds the faults of a policy's expressions; nil: none.
type Checker interface {
	Check(policy *admissionv1.ValidatingAdmissionPolicy) []admissionv1.ExpressionWarning
}

// Options of the controller.
type Options struct {
	Workers int
	Clock   clock.WithTicker
}

// New makes the controller; its keys are policies.
func New(policies admissioninformers.ValidatingAdmissionPolicyInformer, client kubernetes.Interface, checker Checker, o Options) *reconcile.Controller {
	var c *reconcile.Controller
	c = reconcile.New("validatingadmissionpolicy-status", reconcile.Func(func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
		policy, err := policies.Lister().Get(key.Name)
		if err != nil || policy.DeletionTimestamp != nil || policy.Status.ObservedGeneration >= policy.Generation {
			return reconcile.Result{}, reconcile.IgnoreNotFound(err)
		}
		update := policy.DeepCopy()
		update.Status.ObservedGeneration = policy.Generation
		update.Status.TypeChecking = &admissionv1.TypeChecking{ExpressionWarnings: checker.Check(policy)}
		written, err := client.AdmissionregistrationV1().ValidatingAdmissionPolicies().UpdateStatus(ctx, update, metav1.UpdateOptions{})
		if err != nil {
			return reconcile.Result{}, reconcile.IgnoreNotFound(err)
		}
		c.Wrote(policies.Informer(), key, written)
		return reconcile.Result{}, nil
	}), reconcile.Options{Workers: o.Workers, Clock: o.Clock})
	c.Watch(policies.Informer(), reconcile.ObjectKey)
	return c
}
