package conformance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// operations is a walk through the verbs of one resource.
type operations struct {
	resource     string // plural, for example "flowschemas"
	clusterWide  bool
	subresources []string // that discovery must name, for example "status"
	// manifest of a valid object, without a name.
	manifest string
	// status is what a merge patch of the status subresource writes; empty when there is none.
	status string
	// without are verbs that the resource lacks by design, for example "deletecollection".
	without []string
}

// supportsOperations walks through discovery, create, get, list, watch, patch, update, status, delete and
// deletecollection, as the behaviours "should support … API operations" ask.
func (s *space) supportsOperations(o operations) {
	s.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(o.manifest, "IMAGE", image)), &object.Object); err != nil {
		s.Fatal(err)
	}
	gv := object.GroupVersionKind().GroupVersion()
	s.discovers(gv, o)
	client := s.resource(gv.WithResource(o.resource), o.clusterWide)
	label := map[string]string{"operations": s.Namespace}
	s.Cleanup(func() { s.deleteLabelled(client, label, o) })
	named := func(name string) *unstructured.Unstructured {
		n := object.DeepCopy()
		n.SetName(s.Namespace + "-" + name)
		n.SetLabels(label)
		return n
	}
	selector := metav1.ListOptions{LabelSelector: "operations=" + s.Namespace}

	events := must[watch.Interface](s)(client.Watch(s.Context(), selector))
	defer events.Stop()
	var created []*unstructured.Unstructured
	for _, name := range []string{"a", "b", "c"} {
		created = append(created, must[*unstructured.Unstructured](s)(client.Create(s.Context(), named(name), metav1.CreateOptions{})))
	}
	if _, err := client.Create(s.Context(), named("a"), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		s.Errorf("creating a name twice: %v", err)
	}
	first := created[0]
	if got := must[*unstructured.Unstructured](s)(client.Get(s.Context(), first.GetName(), metav1.GetOptions{})); got.GetUID() != first.GetUID() {
		s.Errorf("get gives uid %s, created was %s", got.GetUID(), first.GetUID())
	}
	if list := must[*unstructured.UnstructuredList](s)(client.List(s.Context(), selector)); len(list.Items) != 3 {
		s.Errorf("list gives %d objects of 3", len(list.Items))
	}
	s.sees(events, watch.Added, first.GetName())

	patched := must[*unstructured.Unstructured](s)(client.Patch(s.Context(), first.GetName(), types.MergePatchType, []byte(`{"metadata":{"annotations":{"patched":"true"},"labels":{"patched":"true"}}}`), metav1.PatchOptions{}))
	if patched.GetAnnotations()["patched"] != "true" || patched.GetLabels()["patched"] != "true" {
		s.Errorf("the patch is not in %v, %v", patched.GetAnnotations(), patched.GetLabels())
	}
	s.sees(events, watch.Modified, first.GetName())
	if list := must[*unstructured.UnstructuredList](s)(client.List(s.Context(), metav1.ListOptions{LabelSelector: selector.LabelSelector + ",patched=true"})); len(list.Items) != 1 || list.Items[0].GetUID() != first.GetUID() {
		s.Errorf("a list by the patched label gives %d objects, want the one that has it", len(list.Items))
	}
	s.eventually("an update without conflict", func() (any, bool) {
		current := must[*unstructured.Unstructured](s)(client.Get(s.Context(), first.GetName(), metav1.GetOptions{}))
		current.SetAnnotations(map[string]string{"patched": "true", "updated": "true"})
		updated, err := client.Update(s.Context(), current, metav1.UpdateOptions{})
		if err != nil {
			return err, false
		}
		return updated.GetAnnotations(), updated.GetAnnotations()["updated"] == "true"
	})
	if o.status != "" {
		s.writesStatus(client, first.GetName(), o.status)
	}
	if err := client.Delete(s.Context(), first.GetName(), metav1.DeleteOptions{}); err != nil {
		s.Fatal(err)
	}
	s.eventually(first.GetName()+" to be gone", func() (any, bool) {
		_, err := client.Get(s.Context(), first.GetName(), metav1.GetOptions{})
		return err, apierrors.IsNotFound(err)
	})
	s.sees(events, watch.Deleted, first.GetName())
	if slices.Contains(o.without, "deletecollection") {
		return
	}
	if err := client.DeleteCollection(s.Context(), metav1.DeleteOptions{}, selector); err != nil {
		s.Fatal(err)
	}
	s.eventually("all to be gone", func() (any, bool) {
		list := must[*unstructured.UnstructuredList](s)(client.List(s.Context(), selector))
		return len(list.Items), len(list.Items) == 0
	})
}

// writesStatus patches the status subresource, reads it and puts it back.
func (s *space) writesStatus(client dynamic.ResourceInterface, name, status string) {
	s.Helper()
	got := must[*unstructured.Unstructured](s)(client.Patch(s.Context(), name, types.MergePatchType, []byte(`{"status":`+status+`}`), metav1.PatchOptions{}, "status"))
	if written, _, _ := unstructured.NestedMap(got.Object, "status"); len(written) == 0 {
		s.Errorf("the status %s was not written", status)
	}
	s.eventually("an update of the status without conflict", func() (any, bool) {
		current := must[*unstructured.Unstructured](s)(client.Get(s.Context(), name, metav1.GetOptions{}, "status"))
		updated, err := client.UpdateStatus(s.Context(), current, metav1.UpdateOptions{})
		if err != nil {
			return err, false
		}
		return updated.Object["status"], equality.Semantic.DeepEqual(updated.Object["status"], current.Object["status"])
	})
}

// resource is a client of a resource, in the test's namespace unless it is cluster-wide.
func (s *space) resource(gvr schema.GroupVersionResource, clusterWide bool) dynamic.ResourceInterface {
	if clusterWide {
		return s.Dynamic.Resource(gvr)
	}
	return s.Dynamic.Resource(gvr).Namespace(s.Namespace)
}

// discovers checks that discovery names the group, its version, the resource with its verbs, and its subresources.
func (s *space) discovers(gv schema.GroupVersion, o operations) {
	s.Helper()
	if gv.Group != "" {
		groups := must[*metav1.APIGroupList](s)(s.Client.Discovery().ServerGroups())
		if !slices.ContainsFunc(groups.Groups, func(g metav1.APIGroup) bool {
			return g.Name == gv.Group && slices.ContainsFunc(g.Versions, func(v metav1.GroupVersionForDiscovery) bool { return v.Version == gv.Version })
		}) {
			s.Errorf("/apis does not name %s", gv)
		}
	}
	list := must[*metav1.APIResourceList](s)(s.Client.Discovery().ServerResourcesForGroupVersion(gv.String()))
	found := map[string]metav1.APIResource{}
	for _, r := range list.APIResources {
		found[r.Name] = r
	}
	for _, verb := range []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"} {
		if has := slices.Contains(found[o.resource].Verbs, verb); has == slices.Contains(o.without, verb) {
			s.Errorf("discovery says of %s %s that its verbs are %v", gv, o.resource, found[o.resource].Verbs)
		}
	}
	for _, sub := range o.subresources {
		if _, ok := found[o.resource+"/"+sub]; !ok {
			s.Errorf("discovery does not name %s %s/%s", gv, o.resource, sub)
		}
	}
}

// sees waits for an event of this type about the object of this name.
func (s *space) sees(events watch.Interface, kind watch.EventType, name string) {
	s.Helper()
	late := time.After(patience)
	for {
		select {
		case e, open := <-events.ResultChan():
			if !open {
				s.Fatalf("the watch ended before %s of %s", kind, name)
			}
			if o, ok := e.Object.(metav1.Object); ok && e.Type == kind && o.GetName() == name {
				return
			}
		case <-late:
			s.Fatalf("waited %v for the event %s of %s", patience, kind, name)
		}
	}
}

// deleteLabelled removes what a test of a cluster-wide resource may have left.
func (s *space) deleteLabelled(client dynamic.ResourceInterface, label map[string]string, o operations) {
	if !o.clusterWide || !s.Failed() {
		return
	}
	ctx := s.cleanupContext()
	list, err := client.List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(metav1.SetAsLabelSelector(label))})
	if err != nil {
		s.Log(err)
		return
	}
	for _, item := range list.Items {
		if err := client.Delete(ctx, item.GetName(), metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			s.Log(fmt.Errorf("removing %s: %w", item.GetName(), err))
		}
	}
}
