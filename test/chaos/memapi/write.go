package memapi

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
)

func conflict(k Kind, name, format string, args ...any) error {
	return apierrors.NewConflict(k.GroupResource(), name, fmt.Errorf(format, args...))
}

// Update replaces an object or, with a subresource, the part of it that the subresource stands for.
func (s *Server) Update(actor string, o *Object, subresource string) (*Object, error) {
	k, err := s.kindOf(o)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.update(actor, k, o, subresource)
}

func (s *Server) update(actor string, k Kind, o *Object, subresource string) (*Object, error) {
	old, err := s.find(k, o.GetNamespace(), o.GetName())
	if err != nil {
		return nil, err
	}
	if rv := o.GetResourceVersion(); rv != "" && rv != old.GetResourceVersion() {
		return nil, conflict(k, o.GetName(), "the object has been modified; please apply your changes to the latest version and try again")
	}
	if uid := o.GetUID(); uid != "" && uid != old.GetUID() {
		return nil, conflict(k, o.GetName(), "Precondition failed: UID in precondition: %v, UID in object meta: %v", uid, old.GetUID())
	}
	fresh := merged(k, old, o, subresource)
	if old.GetDeletionTimestamp() != nil {
		for _, f := range fresh.GetFinalizers() {
			if !slices.Contains(old.GetFinalizers(), f) {
				return nil, apierrors.NewInvalid(k.GVK().GroupKind(), o.GetName(), nil)
			}
		}
	}
	if reflect.DeepEqual(fresh.Object, old.Object) {
		if s.Unchanged != nil {
			s.Unchanged(actor, k, old)
		}
		return old, nil // the real server writes nothing either
	}
	s.commit(actor, watch.Modified, k, fresh, old)
	if done(k, fresh) {
		return s.remove(actor, k, fresh), nil
	}
	return fresh, nil
}

// merged is old with what o may change of it.
func merged(k Kind, old, o *Object, subresource string) *Object {
	fresh := o.DeepCopy()
	keep := func(from *Object, fields ...string) {
		for _, f := range fields {
			if value, ok := from.Object[f]; ok {
				fresh.Object[f] = runtime.DeepCopyJSONValue(value)
			} else {
				delete(fresh.Object, f)
			}
		}
	}
	switch {
	case subresource == "status" || subresource == "approval":
		fresh = old.DeepCopy()
		fresh.SetLabels(o.GetLabels())
		fresh.SetAnnotations(o.GetAnnotations())
		fresh.SetFinalizers(o.GetFinalizers())
		keep(o, "status")
	case subresource == "finalize":
		fresh = old.DeepCopy()
		keep(o, "spec")
	case k.StatusApart:
		keep(old, "status")
	}
	fresh.SetUID(old.GetUID())
	fresh.SetCreationTimestamp(old.GetCreationTimestamp())
	fresh.SetDeletionTimestamp(old.GetDeletionTimestamp())
	fresh.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	fresh.SetGeneration(old.GetGeneration())
	fresh.SetResourceVersion(old.GetResourceVersion())
	fresh.SetManagedFields(nil)
	fresh.SetAPIVersion(k.GroupVersion().String())
	fresh.SetKind(k.Kind)
	prune(fresh.Object, "metadata")
	if subresource == "" && !reflect.DeepEqual(fresh.Object["spec"], old.Object["spec"]) {
		fresh.SetGeneration(old.GetGeneration() + 1)
	}
	return fresh
}

// prune takes nulls out of the metadata, which typed clients send for creationTimestamp.
func prune(o map[string]any, field string) {
	if m, ok := o[field].(map[string]any); ok {
		for name, value := range m {
			if value == nil {
				delete(m, name)
			}
		}
	}
}

// done tells that nothing keeps an object that is being deleted.
func done(k Kind, o *Object) bool {
	if o.GetDeletionTimestamp() == nil || len(o.GetFinalizers()) > 0 {
		return false
	}
	if grace := o.GetDeletionGracePeriodSeconds(); grace != nil && *grace > 0 {
		return false
	}
	if k.Resource == "namespaces" {
		left, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "finalizers")
		return len(left) == 0
	}
	return true
}

func (s *Server) remove(actor string, k Kind, o *Object) *Object {
	gone := o.DeepCopy()
	s.commit(actor, watch.Deleted, k, gone, o)
	return gone
}

// Patch applies a patch to an object or its status.
func (s *Server) patch(actor string, k Kind, namespace, name, subresource string, kind types.PatchType, data []byte) (*Object, error) {
	old, err := s.find(k, namespace, name)
	if err != nil {
		return nil, err
	}
	before, err := json.Marshal(old.Object)
	if err != nil {
		return nil, err
	}
	var after []byte
	switch kind {
	case types.MergePatchType:
		after, err = jsonpatch.MergePatch(before, data)
	case types.StrategicMergePatchType:
		typed, newErr := scheme.Scheme.New(k.GVK())
		if newErr != nil {
			return nil, newErr
		}
		after, err = strategicpatch.StrategicMergePatch(before, data, typed)
	case types.JSONPatchType:
		var p jsonpatch.Patch
		if p, err = jsonpatch.DecodePatch(data); err == nil {
			after, err = p.Apply(before)
		}
	default:
		return nil, apierrors.NewBadRequest("patch type " + string(kind) + " is not served")
	}
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	fresh := &Object{}
	if err := fresh.UnmarshalJSON(after); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return s.update(actor, k, fresh, subresource)
}

// Delete deletes an object as the options say.
func (s *Server) Delete(actor string, k Kind, namespace, name string, o metav1.DeleteOptions) (*Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.delete(actor, k, namespace, name, o)
}

func (s *Server) delete(actor string, k Kind, namespace, name string, o metav1.DeleteOptions) (*Object, error) {
	old, err := s.find(k, namespace, name)
	if err != nil {
		return nil, err
	}
	if p := o.Preconditions; p != nil {
		if p.UID != nil && *p.UID != old.GetUID() {
			return nil, conflict(k, name, "Precondition failed: UID in precondition: %v, UID in object meta: %v", *p.UID, old.GetUID())
		}
		if p.ResourceVersion != nil && *p.ResourceVersion != old.GetResourceVersion() {
			return nil, conflict(k, name, "Precondition failed: ResourceVersion in precondition: %v, ResourceVersion in object meta: %v", *p.ResourceVersion, old.GetResourceVersion())
		}
	}
	fresh := old.DeepCopy()
	propagate(fresh, o.PropagationPolicy)
	grace := gracePeriod(k, old, o.GracePeriodSeconds)
	if old.GetDeletionTimestamp() == nil {
		at := metav1.NewTime(time.Now().Add(time.Duration(grace) * time.Second))
		fresh.SetDeletionTimestamp(&at)
		fresh.SetDeletionGracePeriodSeconds(&grace)
		if k.Resource == "namespaces" {
			_ = unstructured.SetNestedField(fresh.Object, string(v1.NamespaceTerminating), "status", "phase")
		}
	} else if have := old.GetDeletionGracePeriodSeconds(); have != nil && grace < *have {
		fresh.SetDeletionGracePeriodSeconds(&grace)
	}
	if done(k, fresh) {
		return s.remove(actor, k, fresh), nil
	}
	if reflect.DeepEqual(fresh.Object, old.Object) {
		return old, nil
	}
	s.commit(actor, watch.Modified, k, fresh, old)
	return fresh, nil
}

// gracePeriod is how many seconds a pod on a node has to end; other objects have none.
func gracePeriod(k Kind, o *Object, wanted *int64) int64 {
	if k.Resource != "pods" {
		return 0
	}
	node, _, _ := unstructured.NestedString(o.Object, "spec", "nodeName")
	phase, _, _ := unstructured.NestedString(o.Object, "status", "phase")
	if node == "" || phase == string(v1.PodFailed) || phase == string(v1.PodSucceeded) {
		return 0
	}
	if wanted != nil {
		return *wanted
	}
	if own, ok, _ := unstructured.NestedInt64(o.Object, "spec", "terminationGracePeriodSeconds"); ok {
		return own
	}
	return 30
}

// propagate sets the finalizers that stand for a deletion's propagation policy; no policy leaves them.
func propagate(o *Object, policy *metav1.DeletionPropagation) {
	if policy == nil {
		return
	}
	kept := slices.DeleteFunc(slices.Clone(o.GetFinalizers()), func(f string) bool {
		return f == metav1.FinalizerOrphanDependents || f == metav1.FinalizerDeleteDependents
	})
	switch *policy {
	case metav1.DeletePropagationOrphan:
		kept = append(kept, metav1.FinalizerOrphanDependents)
	case metav1.DeletePropagationForeground:
		kept = append(kept, metav1.FinalizerDeleteDependents)
	}
	o.SetFinalizers(kept)
}

// scale reads or writes the scale of a workload.
func (s *Server) scale(actor string, k Kind, namespace, name string, wanted *Object) (*Object, error) {
	o, err := s.find(k, namespace, name)
	if err != nil {
		return nil, err
	}
	if wanted != nil {
		n, _, _ := unstructured.NestedInt64(wanted.Object, "spec", "replicas")
		fresh := o.DeepCopy()
		fresh.SetResourceVersion(wanted.GetResourceVersion())
		_ = unstructured.SetNestedField(fresh.Object, n, "spec", "replicas")
		if o, err = s.update(actor, k, fresh, ""); err != nil {
			return nil, err
		}
	}
	out := &Object{Object: map[string]any{}}
	out.SetAPIVersion("autoscaling/v1")
	out.SetKind("Scale")
	out.SetNamespace(namespace)
	out.SetName(name)
	out.SetUID(o.GetUID())
	out.SetResourceVersion(o.GetResourceVersion())
	n, _, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
	have, _, _ := unstructured.NestedInt64(o.Object, "status", "replicas")
	_ = unstructured.SetNestedField(out.Object, n, "spec", "replicas")
	_ = unstructured.SetNestedField(out.Object, have, "status", "replicas")
	labels, _, _ := unstructured.NestedStringMap(o.Object, "spec", "selector", "matchLabels")
	_ = unstructured.SetNestedField(out.Object, metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: labels}), "status", "selector")
	return out, nil
}

func parseVersion(rv string) int64 {
	n, _ := strconv.ParseInt(rv, 10, 64)
	return n
}
