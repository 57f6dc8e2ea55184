package fields

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestExpand(t *testing.T) {
	vars := map[string]string{"A": "1", "EMPTY": ""}
	lookup := func(n string) (string, bool) { v, ok := vars[n]; return v, ok }
	for in, want := range map[string]string{
		"$(A)": "1", "x$(A)y$(A)": "x1y1", "$$(A)": "$(A)", "$(B)": "$(B)", "$A": "$A", "$(A": "$(A", "$": "$", "$(EMPTY)|": "|", "$$$(A)": "$1",
	} {
		if got := Expand(in, lookup); got != want {
			t.Errorf("Expand(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzExpand(f *testing.F) {
	f.Add("a$(B)$$c")
	f.Fuzz(func(t *testing.T, s string) {
		Expand(s, func(string) (string, bool) { return "", false })
	})
}

func TestValues(t *testing.T) {
	p := Pod{Pod: &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Labels: map[string]string{"b": "2", "a": "1"}},
		Spec: v1.PodSpec{Containers: []v1.Container{{Name: "c", Resources: v1.ResourceRequirements{Limits: v1.ResourceList{"cpu": resource.MustParse("1500m")}}}}}}, PodIPs: []string{"10.0.0.1", "fd00::1"}}
	for path, want := range map[string]string{"metadata.name": "web", "metadata.labels['a']": "1", "metadata.labels": "a=\"1\"\nb=\"2\"", "status.podIP": "10.0.0.1", "status.podIPs": "10.0.0.1,fd00::1"} {
		if got, err := p.Value(path); got != want || err != nil {
			t.Errorf("Value(%s) = %q, %v; want %q", path, got, err, want)
		}
	}
	if _, err := p.Value("spec.containers"); err == nil {
		t.Error("an unsupported field gives no error")
	}
	for ref, want := range map[string]string{"limits.cpu": "2", "limits.memory": "1024", "requests.cpu": "0"} {
		got, err := p.Resource(&v1.ResourceFieldSelector{ContainerName: "c", Resource: ref}, nil, v1.ResourceList{"memory": resource.MustParse("1Ki")})
		if got != want || err != nil {
			t.Errorf("Resource(%s) = %q, %v; want %q", ref, got, err, want)
		}
	}
}
