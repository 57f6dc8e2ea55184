package kind

import (
	"context"
	"testing"

	"k8s.io/utils/ptr"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/kubernetes/scheme"
)

// A pod that the registry's cache holds as unbound, but that is bound, gets the time to end that its deletion asks for.
func TestOutdatedObjectSetsNoGracePeriod(t *testing.T) {
	pods := &Kind[*corev1.Pod]{Graceful: func(_ context.Context, p *corev1.Pod, options *metav1.DeleteOptions) bool {
		period := ptr.Deref(options.GracePeriodSeconds, 30)
		if p.Spec.NodeName == "" {
			period = 0
		}
		options.GracePeriodSeconds = &period
		return true
	}}
	s := gracefulStrategy[*corev1.Pod]{strategy[*corev1.Pod]{ObjectTyper: scheme.Scheme, kind: pods}}
	for _, tt := range []struct {
		name string
		asks *int64
		want int64
	}{{"five seconds", ptr.To[int64](5), 5}, {"what the pod says", nil, 30}, {"at once", ptr.To[int64](0), 0}} {
		t.Run(tt.name, func(t *testing.T) {
			options := &metav1.DeleteOptions{GracePeriodSeconds: tt.asks}
			ctx := withAsked(t.Context(), options)
			unbound, bound := &corev1.Pod{}, &corev1.Pod{Spec: corev1.PodSpec{NodeName: "n"}}
			for _, attempt := range []*corev1.Pod{unbound, bound} {
				if _, _, err := rest.BeforeDelete(s, ctx, attempt, options); err != nil {
					t.Fatal(err)
				}
			}
			if got := *bound.DeletionGracePeriodSeconds; got != tt.want {
				t.Errorf("the bound pod gets %d s, want %d", got, tt.want)
			}
		})
	}
}
