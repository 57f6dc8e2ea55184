package ownership

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func TestKeysNameTheControllerOrThoseThatCouldAdopt(t *testing.T) {
	set := func(name string, selector *metav1.LabelSelector) *appsv1.DaemonSet {
		return &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name, UID: "u"}, Spec: appsv1.DaemonSetSpec{Selector: selector}}
	}
	web := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	sets := []*appsv1.DaemonSet{set("web", web), set("web-too", web), set("db", &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}),
		set("nothing", nil), set("everything", &metav1.LabelSelector{})}
	for _, c := range []struct {
		name             string
		apiVersion, kind string // of the controller
		want             []string
	}{
		{"an orphan", "", "", []string{"web", "web-too"}},
		{"ours, whether it is still selected or not", "apps/v1", "DaemonSet", []string{"owner"}},
		{"of another kind", "apps/v1", "ReplicaSet", nil},
		{"of a kind with the same name in another group", "example.org/v1", "DaemonSet", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "p", Labels: map[string]string{"app": "web"}}}
			if c.kind != "" {
				pod.OwnerReferences = []metav1.OwnerReference{Reference(set("owner", web), c.apiVersion, c.kind)}
			}
			var got []string
			for _, key := range Keys(pod, "apps/v1", "DaemonSet", func(labels.Selector) ([]*appsv1.DaemonSet, error) { return sets, nil },
				func(s *appsv1.DaemonSet) *metav1.LabelSelector { return s.Spec.Selector }) {
				if key.Namespace != "a" {
					t.Errorf("key %v is not in the pod's namespace", key)
				}
				got = append(got, key.Name)
			}
			if len(got) != len(c.want) {
				t.Fatalf("got %v, want %v", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("got %v, want %v", got, c.want)
				}
			}
		})
	}
}
