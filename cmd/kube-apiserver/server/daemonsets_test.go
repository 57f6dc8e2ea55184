package server

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The generation of a daemon set's template counts its changes, whatever the client says of it.
func TestTemplateGeneration(t *testing.T) {
	s := serve(t)
	api, ctx := s.client.AppsV1().DaemonSets(s.namespace(t)), t.Context()
	made := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "d"}, Spec: appsv1.DaemonSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "a"}},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "a"}}, Spec: pod("p").Spec},
	}}
	expect := func(what string, d *appsv1.DaemonSet, err error, want string) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got := d.Annotations[appsv1.DeprecatedTemplateGeneration]; got != want {
			t.Errorf("%s: generation %q, want %q", what, got, want)
		}
	}
	d, err := api.Create(ctx, made, metav1.CreateOptions{})
	expect("created", d, err, "1")
	made.Labels = map[string]string{"a": "b"}
	d, err = api.Update(ctx, made, metav1.UpdateOptions{})
	expect("replaced by another label", d, err, "1")
	made.Spec.Template.Spec.Containers[0].Image = "example.com/image:2"
	made.Annotations = map[string]string{appsv1.DeprecatedTemplateGeneration: "77"}
	d, err = api.Update(ctx, made, metav1.UpdateOptions{})
	expect("replaced by another template", d, err, "2")
	made.Annotations = nil
	d, err = api.UpdateStatus(ctx, made, metav1.UpdateOptions{})
	expect("observed", d, err, "2")
}
