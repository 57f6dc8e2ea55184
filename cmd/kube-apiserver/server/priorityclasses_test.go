package server

import (
	"testing"

	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The priority classes of the system stay, whatever is deleted beside them.
func TestSystemPriorityClassesStay(t *testing.T) {
	api, ctx := serve(t).client.SchedulingV1().PriorityClasses(), t.Context()
	if _, err := api.Create(ctx, &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "mine"}, Value: 7}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	mustBe(t, "deletion of a system class", api.Delete(ctx, "system-node-critical", metav1.DeleteOptions{}), apierrors.IsForbidden)
	for _, selector := range []string{"metadata.name=system-cluster-critical", ""} {
		if err := api.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: selector}); err != nil {
			t.Error(err)
		}
	}
	_, err := api.Get(ctx, "mine", metav1.GetOptions{})
	mustBe(t, "another class", err, apierrors.IsNotFound)
	for _, name := range []string{"system-node-critical", "system-cluster-critical"} {
		if _, err := api.Get(ctx, name, metav1.GetOptions{}); err != nil {
			t.Error(err)
		}
	}
}
