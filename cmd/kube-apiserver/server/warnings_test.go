package server

import (
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

func warningsOf(r rest.Result) []string {
	var out []string
	for _, w := range r.Warnings() {
		out = append(out, w.Text)
	}
	return out
}

// Who does what is accepted and seldom meant is told so.
func TestWarnings(t *testing.T) {
	s := serve(t)
	ns, ctx := s.namespace(t), t.Context()
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "j"}}
	job.Spec.Template.Spec = *pod("p").Spec.DeepCopy()
	job.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	job.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "A", Value: "2"}}
	ingress := &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Name: "i", Annotations: map[string]string{"kubernetes.io/ingress.class": "c"}},
		Spec: networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{
			Service: &networkingv1.IngressServiceBackend{Name: "s", Port: networkingv1.ServiceBackendPort{Number: 80}},
		}},
	}
	jobs, ingresses := s.client.BatchV1().RESTClient(), s.client.NetworkingV1().RESTClient()
	const preserved = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning"
	background := metav1.DeletePropagationBackground
	for _, step := range []struct {
		name string
		do   func() rest.Result
		want []string
	}{
		{"variables set twice", func() rest.Result { return jobs.Post().Namespace(ns).Resource("jobs").Body(job).Do(ctx) },
			[]string{`spec.template.spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply`}},
		{"job deleted without a word of its pods", func() rest.Result { return jobs.Delete().Namespace(ns).Resource("jobs").Name("j").Do(ctx) },
			[]string{preserved}},
		{"jobs deleted without a word of their pods", func() rest.Result { return jobs.Delete().Namespace(ns).Resource("jobs").Do(ctx) },
			[]string{preserved}},
		{"jobs deleted with their pods", func() rest.Result {
			return jobs.Delete().Namespace(ns).Resource("jobs").Body(&metav1.DeleteOptions{PropagationPolicy: &background}).Do(ctx)
		}, nil},
		{"class of an ingress by annotation", func() rest.Result { return ingresses.Post().Namespace(ns).Resource("ingresses").Body(ingress).Do(ctx) },
			[]string{`annotation "kubernetes.io/ingress.class" is deprecated, please use 'spec.ingressClassName' instead`}},
	} {
		r := step.do()
		if got := warningsOf(r); r.Error() != nil || !slices.Equal(got, step.want) {
			t.Errorf("%s: %q, want %q (%v)", step.name, got, step.want, r.Error())
		}
	}
}

// kubectl get api-extensions finds what extends the API.
func TestCategoryOfExtensions(t *testing.T) {
	served, err := serve(t).client.Discovery().ServerResourcesForGroupVersion("admissionregistration.k8s.io/v1")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, r := range served.APIResources {
		if strings.Contains(r.Name, "/") {
			continue
		}
		found++
		if !slices.Contains(r.Categories, "api-extensions") {
			t.Errorf("%s is in %v", r.Name, r.Categories)
		}
	}
	if found != 6 {
		t.Errorf("%d resources", found)
	}
}
