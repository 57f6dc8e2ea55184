package validation_test

import (
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"pilotis.dev/api/validation"
)

func benchPod(b *testing.B, file string) *corev1.Pod {
	b.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	base, _ := parse(string(text))
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict([]byte(base), pod); err != nil {
		b.Fatal(err)
	}
	return pod
}

// BenchmarkPod is what the creation of a pod costs here: defaults and rules. The pods are those of the stories: one
// with nearly every field, and a plain one.
func BenchmarkPod(b *testing.B) {
	s := newScheme(b)
	rich := benchPod(b, "testdata/pod.txt")
	plain := &corev1.Pod{}
	plain.Name, plain.Namespace = "web", "shop"
	plain.Spec.Containers = []corev1.Container{{Name: "a", Image: "nginx:1"}}
	for _, c := range []struct {
		name string
		pod  *corev1.Pod
	}{{"plain", plain}, {"rich", rich}} {
		b.Run(c.name+"/default", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				pod := c.pod.DeepCopy()
				s.Default(pod)
			}
		})
		s.Default(c.pod)
		b.Run(c.name+"/create", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if errs := validation.Create(c.pod); len(errs) > 0 {
					b.Fatal(errs)
				}
			}
		})
		old := c.pod.DeepCopy()
		old.ResourceVersion = "1"
		now := old.DeepCopy()
		now.Status.Phase = corev1.PodRunning
		b.Run(c.name+"/status", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if errs := validation.StatusUpdate(now, old); len(errs) > 0 {
					b.Fatal(errs)
				}
			}
		})
	}
}
