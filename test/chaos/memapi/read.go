package memapi

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
)

// View is how late a client's watch cache shows commits. A nil View shows them at once.
type View interface {
	// VisibleAt is when a commit is shown: not before it happened, and for one kind in the order of commits.
	VisibleAt(k Kind, committed time.Time) time.Time
}

func visibleAt(v View, k Kind, committed time.Time) time.Time {
	if v == nil {
		return committed
	}
	return v.VisibleAt(k, committed)
}

// Get returns an object, which is not to be changed.
func (s *Server) Get(k Kind, namespace, name string) (*Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(k, namespace, name)
}

// selection is what a list or a watch is limited to.
type selection struct {
	namespace string
	labels    labels.Selector
	fields    fields.Selector
}

func (sel selection) matches(o *Object) bool {
	return o != nil && (sel.namespace == "" || sel.namespace == o.GetNamespace()) &&
		sel.labels.Matches(labels.Set(o.GetLabels())) && sel.fields.Matches(objectFields{o})
}

// objectFields are the fields of an object by their paths.
type objectFields struct{ o *Object }

// Has implements fields.Fields.
func (f objectFields) Has(field string) bool { return true }

// Get implements fields.Fields.
func (f objectFields) Get(field string) string {
	value, _, _ := unstructured.NestedFieldNoCopy(f.o.Object, strings.Split(field, ".")...)
	text, _ := value.(string)
	return text
}

// shown is the version that a view shows of a kind now.
func (s *Server) shown(k Kind, v View) int64 {
	now := time.Now()
	if !visibleAt(v, k, now).After(now) {
		return s.version
	}
	version := int64(0)
	for _, e := range s.kindLog[k.id()].events {
		if visibleAt(v, k, e.Time).After(now) {
			return max(version, e.Version-1)
		}
		version = e.Version
	}
	return version
}

// list returns the objects as of a version, and that version: the present one when rv is empty, what the view shows when it is
// "0", and what is not older than rv otherwise.
func (s *Server) list(k Kind, sel selection, rv string, v View) ([]*Object, int64) {
	version := s.version
	if rv != "" {
		version = max(s.shown(k, v), min(parseVersion(rv), s.version))
	}
	objects := s.objects[k.id()]
	if version < s.version {
		objects = s.asOf(k, version)
	}
	var out []*Object
	for _, o := range objects {
		if sel.matches(o) {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b *Object) int {
		return strings.Compare(key(a.GetNamespace(), a.GetName()), key(b.GetNamespace(), b.GetName()))
	})
	return out, version
}

func (s *Server) asOf(k Kind, version int64) map[string]*Object {
	objects := map[string]*Object{}
	for _, e := range s.kindLog[k.id()].events {
		if e.Version > version {
			break
		}
		name := key(e.Object.GetNamespace(), e.Object.GetName())
		if e.Type == watch.Deleted {
			delete(objects, name)
		} else {
			objects[name] = e.Object
		}
	}
	return objects
}

// seen is an event as a watch with this selection has it: objects come into the selection, and leave it.
func (sel selection) seen(e Event) (watch.EventType, *Object) {
	before, after := sel.matches(e.Old), e.Type != watch.Deleted && sel.matches(e.Object)
	switch {
	case before && after:
		return watch.Modified, e.Object
	case after:
		return watch.Added, e.Object
	case before && e.Type == watch.Deleted:
		return watch.Deleted, e.Object
	case before:
		left := e.Old.DeepCopy()
		left.SetResourceVersion(strconv.FormatInt(e.Version, 10))
		return watch.Deleted, left
	}
	return "", nil
}
