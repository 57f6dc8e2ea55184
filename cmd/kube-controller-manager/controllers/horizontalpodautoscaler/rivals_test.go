package horizontalpodautoscaler

import (
	"fmt"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// TestRivals: autoscalers of one namespace that have looked at a target and size the same pods know of each other.
func TestRivals(t *testing.T) {
	c := &controller{memories: map[types.UID]*memory{}}
	web := []*v1.Pod{{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}}}
	looks := func(namespace, name, selector string, list []*v1.Pod) string {
		t.Helper()
		hpa := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + name)}}
		c.memoryOf(hpa)
		parsed, err := labels.Parse(selector)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(c.rivals(hpa.UID, parsed, list))
	}
	for _, tt := range []struct {
		namespace, name, selector string
		list                      []*v1.Pod
		want                      string
	}{
		{"shop", "first", "app=web", web, "[]"},
		{"shop", "db", "app=db", nil, "[]"},
		{"other", "first", "app=web", web, "[]"},
		{"shop", "second", "app", web, "[shop/first]"},
		{"shop", "first", "app=web", web, "[shop/second]"},
		{"shop", "first", "app=web", nil, "[]"},
	} {
		if got := looks(tt.namespace, tt.name, tt.selector, tt.list); got != tt.want {
			t.Errorf("%s/%s of %s: rivals %s, want %s", tt.namespace, tt.name, tt.selector, got, tt.want)
		}
	}
}
