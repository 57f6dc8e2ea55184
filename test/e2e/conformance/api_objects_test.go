package conformance

import (
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// parsed is the object of a manifest, in which IMAGE stands for the test image and SPACE for the test's namespace.
func (s *space) parsed(manifest string) *unstructured.Unstructured {
	s.Helper()
	object := &unstructured.Unstructured{}
	text := strings.NewReplacer("IMAGE", image, "SPACE", s.Namespace).Replace(manifest)
	if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
		s.Fatalf("%v in %s", err, text)
	}
	return object
}

// create creates the object of a manifest.
func (s *space) create(client dynamic.ResourceInterface, manifest string) *unstructured.Unstructured {
	s.Helper()
	return must[*unstructured.Unstructured](s)(client.Create(s.Context(), s.parsed(manifest), metav1.CreateOptions{}))
}

// createClusterWide creates the object of a manifest, which has no namespace and goes when the test ends.
func (s *space) createClusterWide(resource schema.GroupVersionResource, manifest string) *unstructured.Unstructured {
	s.Helper()
	created := s.create(s.Dynamic.Resource(resource), manifest)
	s.removesLater(resource, created.GetName())
	return created
}

// removesLater deletes the cluster-wide object when the test ends, if it is still there.
func (s *space) removesLater(resource schema.GroupVersionResource, name string) {
	s.Cleanup(func() {
		if err := s.Dynamic.Resource(resource).Delete(s.cleanupContext(), name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			s.Log(err)
		}
	})
}

// next gives the watch's next event that is no bookmark.
func (s *space) next(events watch.Interface) watch.Event {
	s.Helper()
	late := time.After(patience)
	for {
		select {
		case e, open := <-events.ResultChan():
			if !open {
				s.Fatal("the watch ended")
			}
			if e.Type != watch.Bookmark {
				return e
			}
		case <-late:
			s.Fatalf("waited %v for an event", patience)
		}
	}
}

// expects reads the next event, which must be of this type, and gives its object's metadata.
func (s *space) expects(events watch.Interface, kind watch.EventType) metav1.Object {
	s.Helper()
	e := s.next(events)
	object, ok := e.Object.(metav1.Object)
	if !ok || e.Type != kind {
		s.Fatalf("the next event is %s of %v, not %s", e.Type, e.Object, kind)
	}
	return object
}

// podTemplate is a template of pods with these labels.
func podTemplate(spec v1.PodSpec, labels map[string]string) v1.PodTemplateSpec {
	spec.RestartPolicy = v1.RestartPolicyAlways
	return v1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}
}
