package core

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// restless is a storage whose pod changes as soon as it was read, and which holds one budget.
type restless struct {
	storage.Interface
	pod    *corev1.Pod
	budget *policyv1.PodDisruptionBudget
}

func (r *restless) Get(_ context.Context, _ string, _ storage.GetOptions, out runtime.Object) error {
	r.pod.DeepCopyInto(out.(*corev1.Pod))
	r.pod.ResourceVersion += "0"
	return nil
}

func (r *restless) GetList(_ context.Context, _ string, _ storage.ListOptions, out runtime.Object) error {
	out.(*policyv1.PodDisruptionBudgetList).Items = []policyv1.PodDisruptionBudget{*r.budget}
	return nil
}

func (r *restless) GuaranteedUpdate(_ context.Context, key string, _ runtime.Object, _ bool, p *storage.Preconditions, _ storage.UpdateFunc, _ runtime.Object) error {
	return p.Check(key, r.pod)
}

// An unhealthy pod that changed after it was judged may be healthy by now: the client is to come again, unless it named
// the version itself.
func TestEvictionOfAPodThatChanges(t *testing.T) {
	for _, tt := range []struct {
		name          string
		preconditions *metav1.Preconditions
		is            func(error) bool
	}{
		{"any version", nil, apierrors.IsTooManyRequests},
		{"a version of the client", &metav1.Preconditions{ResourceVersion: ptr.To("1")}, apierrors.IsConflict},
	} {
		t.Run(tt.name, func(t *testing.T) {
			everywhere := &restless{
				pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", ResourceVersion: "1"}, Status: corev1.PodStatus{Phase: corev1.PodRunning}},
				budget: &policyv1.PodDisruptionBudget{Spec: policyv1.PodDisruptionBudgetSpec{
					Selector: &metav1.LabelSelector{}, UnhealthyPodEvictionPolicy: ptr.To(policyv1.AlwaysAllow),
				}},
			}
			store := &kind.Store{Store: &genericregistry.Store{
				NewFunc:                  func() runtime.Object { return &corev1.Pod{} },
				DefaultQualifiedResource: corev1.Resource("pods"),
				KeyFunc:                  func(_ context.Context, name string) (string, error) { return name, nil },
				KeyRootFunc:              func(context.Context) string { return "" },
				Storage:                  genericregistry.DryRunnableStorage{Storage: everywhere},
			}}
			e := &podEviction{pods: store, budgets: store}
			eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "p"}, DeleteOptions: &metav1.DeleteOptions{Preconditions: tt.preconditions}}
			if _, err := e.Create(t.Context(), "p", eviction, nil, &metav1.CreateOptions{}); !tt.is(err) {
				t.Errorf("got %v (%s)", err, apierrors.ReasonForError(err))
			}
		})
	}
}

// A budget whose controller failed says so, instead of counting pods.
func TestCauseOfARefusedEviction(t *testing.T) {
	b := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "b"}, Status: policyv1.PodDisruptionBudgetStatus{DesiredHealthy: 2, CurrentHealthy: 1}}
	for _, tt := range []struct{ reason, want string }{
		{policyv1.InsufficientPodsReason, "The disruption budget b needs 2 healthy pods and has 1 currently"},
		{policyv1.SyncFailedReason, "The disruption budget b does not allow evicting pods currently because it failed sync: no scale"},
	} {
		b.Status.Conditions = []metav1.Condition{{Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: tt.reason, Message: "no scale"}}
		cause, ok := apierrors.StatusCause(take(b, "p"), policyv1.DisruptionBudgetCause)
		if !ok || !strings.Contains(cause.Message, tt.want) {
			t.Errorf("%s: %v", tt.reason, cause)
		}
	}
}
