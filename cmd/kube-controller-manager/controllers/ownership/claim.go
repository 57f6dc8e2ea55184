// Package ownership decides which objects belong to a controlling object, by owner reference and selector, and indexes them.
package ownership

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// Claim says what an owner's relation to some candidates should be. It is a plan: nothing has been written.
type Claim[T metav1.Object] struct {
	// Owned objects are the owner's now.
	Owned []T
	// Adopt are orphans that match the selector, and belong to the owner once Adopt has been written.
	Adopt []T
	// Release are owned objects that no longer match the selector.
	Release []T
}

// String lists the names, for logs and golden tests.
func (c Claim[T]) String() string {
	var b strings.Builder
	for _, part := range []struct {
		verb string
		objs []T
	}{{"own", c.Owned}, {"adopt", c.Adopt}, {"release", c.Release}} {
		for _, o := range part.objs {
			fmt.Fprintf(&b, "%s %s\n", part.verb, o.GetName())
		}
	}
	return b.String()
}

// Plan sorts candidates by the rules of controller references (design-proposals/api-machinery/controller-ref.md): an object has
// one controller; the owner takes orphans that match its selector, lets go of its objects that stopped matching, and never
// touches what another controller owns. An owner that is being deleted neither adopts nor releases, and an object that is
// being deleted is not adopted. matches may refuse objects for reasons besides labels (a StatefulSet looks at names).
func Plan[T metav1.Object](owner metav1.Object, matches func(T) bool, candidates []T) Claim[T] {
	var claim Claim[T]
	for _, o := range candidates {
		if o.GetNamespace() != owner.GetNamespace() {
			continue
		}
		ref := metav1.GetControllerOfNoCopy(o)
		match := matches(o)
		switch {
		case ref != nil && ref.UID != owner.GetUID():
		case ref != nil && match:
			claim.Owned = append(claim.Owned, o)
		case owner.GetDeletionTimestamp() != nil:
		case ref != nil:
			claim.Release = append(claim.Release, o)
		case match && o.GetDeletionTimestamp() == nil:
			claim.Adopt = append(claim.Adopt, o)
		}
	}
	return claim
}

// BySelector is a matches function for Plan that looks at labels only.
func BySelector[T metav1.Object](selector labels.Selector) func(T) bool {
	return func(o T) bool { return selector.Matches(labels.Set(o.GetLabels())) }
}

// AdoptPatch is the strategic merge patch that makes ref the controller of the object with this UID. The UID is a precondition:
// the patch fails with a conflict when the name belongs to another object by now. Finalizers are added.
func AdoptPatch(ref metav1.OwnerReference, uid types.UID, finalizers ...string) []byte {
	m := map[string]any{"ownerReferences": []metav1.OwnerReference{ref}, "uid": uid}
	if len(finalizers) > 0 {
		m["finalizers"] = finalizers
	}
	return patch(m)
}

// ReleasePatch is the strategic merge patch that removes owner from the references of the object with this UID, and the
// finalizers given with it.
func ReleasePatch(owner, uid types.UID, finalizers ...string) []byte {
	m := map[string]any{"ownerReferences": []map[string]any{{"$patch": "delete", "uid": owner}}, "uid": uid}
	if len(finalizers) > 0 {
		m["$deleteFromPrimitiveList/finalizers"] = finalizers
	}
	return patch(m)
}

func patch(metadata map[string]any) []byte {
	data, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil { // maps of strings always marshal
		panic(err)
	}
	return data
}

// Reference is the controller reference that dependents of owner carry.
func Reference(owner metav1.Object, apiVersion, kind string) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: apiVersion, Kind: kind, Name: owner.GetName(), UID: owner.GetUID(),
		Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
	}
}

// ErrOwnerGone tells that an owner was deleted or replaced since it was read from the cache: it must not adopt any more.
type ErrOwnerGone struct{ Kind, Namespace, Name string }

func (e ErrOwnerGone) Error() string {
	return fmt.Sprintf("%s %s/%s is being deleted or was replaced: it adopts nothing", e.Kind, e.Namespace, e.Name)
}

// Live checks with a read past the cache that owner still is the object it was, and is not being deleted. It has to be called
// before orphans are adopted: an adoption by an owner that is gone would hand live objects to the garbage collector.
func Live[T metav1.Object](ctx context.Context, owner metav1.Object, kind string, get func(ctx context.Context, name string, o metav1.GetOptions) (T, error)) error {
	fresh, err := get(ctx, owner.GetName(), metav1.GetOptions{})
	if err != nil {
		return err
	}
	if fresh.GetUID() != owner.GetUID() || fresh.GetDeletionTimestamp() != nil {
		return ErrOwnerGone{kind, owner.GetNamespace(), owner.GetName()}
	}
	return nil
}

// SortByName orders objects by name, so that plans are the same in each run.
func SortByName[T metav1.Object](objs []T) {
	slices.SortFunc(objs, func(a, b T) int { return strings.Compare(a.GetName(), b.GetName()) })
}
