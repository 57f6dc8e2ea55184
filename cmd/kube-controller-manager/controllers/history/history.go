// Package history keeps the ControllerRevisions of an owner: numbered snapshots of its pod template, to which kubectl rollout
// undo goes back.
package history

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/ownership"
	"pilotis.dev/pkg/reconcile"
)

// DefaultHashLabel of a ControllerRevision is the digest in its name.
const DefaultHashLabel = "controller.kubernetes.io/hash"

// Data is a strategic merge patch that puts template in the place of an owner's spec.template.
func Data(template *v1.PodTemplateSpec) (runtime.RawExtension, error) {
	raw, err := json.Marshal(template)
	if err != nil {
		return runtime.RawExtension{}, err
	}
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		return runtime.RawExtension{}, err
	}
	fields["$patch"] = "replace"
	raw, err = json.Marshal(map[string]any{"spec": map[string]any{"template": fields}})
	return runtime.RawExtension{Raw: raw}, err
}

// Template returns the pod template that a revision holds.
func Template(revision *appsv1.ControllerRevision) (*v1.PodTemplateSpec, error) {
	var data struct {
		Spec struct {
			Template v1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(revision.Data.Raw, &data); err != nil {
		return nil, fmt.Errorf("ControllerRevision %s/%s: data: %w", revision.Namespace, revision.Name, err)
	}
	return &data.Spec.Template, nil
}

// Owner is the object that revisions are kept for.
type Owner struct {
	Meta      metav1.Object
	Reference metav1.OwnerReference
	Selector  *metav1.LabelSelector
	Template  *v1.PodTemplateSpec
	// HashLabel is the label of revisions that holds the digest in their names.
	HashLabel string
}

// New returns the revision, not yet stored, of the owner's present template.
func New(o Owner, number int64, collisions *int32) (*appsv1.ControllerRevision, error) {
	data, err := Data(o.Template)
	if err != nil {
		return nil, err
	}
	h := fnv.New32a()
	h.Write(data.Raw)
	if collisions != nil {
		fmt.Fprintf(h, "%d", *collisions)
	}
	hash := rand.SafeEncodeString(fmt.Sprint(h.Sum32()))
	prefix := o.Meta.GetName()
	if len(prefix) > 223 {
		prefix = prefix[:223]
	}
	labels := maps.Clone(o.Template.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[o.HashLabel] = hash
	return &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Name: prefix + "-" + hash, Namespace: o.Meta.GetNamespace(), Labels: labels,
			Annotations: maps.Clone(o.Meta.GetAnnotations()), OwnerReferences: []metav1.OwnerReference{o.Reference},
		},
		Data: data, Revision: number,
	}, nil
}

// Equal tells whether two revisions hold the same template. Templates that differ in encoding only are the same.
func Equal(a, b *appsv1.ControllerRevision) bool {
	if bytes.Equal(a.Data.Raw, b.Data.Raw) {
		return true
	}
	ta, errA := Template(a)
	tb, errB := Template(b)
	return errA == nil && errB == nil && equality.Semantic.DeepEqual(ta, tb)
}

// Sort orders revisions, the oldest first.
func Sort(revisions []*appsv1.ControllerRevision) {
	slices.SortFunc(revisions, func(a, b *appsv1.ControllerRevision) int {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision), a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
}

// Surplus returns the oldest revisions beyond limit among those that live does not name.
func Surplus(revisions []*appsv1.ControllerRevision, limit int32, live func(*appsv1.ControllerRevision) bool) []*appsv1.ControllerRevision {
	var dead []*appsv1.ControllerRevision
	for _, r := range revisions {
		if !live(r) {
			dead = append(dead, r)
		}
	}
	Sort(dead)
	return dead[:max(0, len(dead)-int(limit))]
}

// Keeper reads and writes revisions.
type Keeper struct {
	Client   kubernetes.Interface
	Informer cache.SharedIndexInformer
	View     ownership.View[*appsv1.ControllerRevision]
	Loop     *reconcile.Controller
}

// List returns the owner's revisions, oldest first, after adopting orphans that match its selector and releasing others.
func (k *Keeper) List(ctx context.Context, o Owner, live func(context.Context) error) ([]*appsv1.ControllerRevision, error) {
	selector, err := metav1.LabelSelectorAsSelector(o.Selector)
	if err != nil {
		return nil, fmt.Errorf("%s %s/%s: spec.selector: %w", o.Reference.Kind, o.Meta.GetNamespace(), o.Meta.GetName(), err)
	}
	claim := ownership.Plan(o.Meta, func(r *appsv1.ControllerRevision) bool {
		// Labels of a template may change with the selector's keys unchanged; what we own we keep.
		return metav1.IsControlledBy(r, o.Meta) || selector.Matches(labels.Set(r.Labels))
	}, k.View.Candidates(o.Meta))
	owned := claim.Owned
	if len(claim.Adopt) > 0 {
		if err := live(ctx); err != nil {
			return nil, err
		}
	}
	for _, r := range claim.Adopt {
		adopted, err := k.Client.AppsV1().ControllerRevisions(r.Namespace).Patch(ctx, r.Name, types.StrategicMergePatchType,
			ownership.AdoptPatch(o.Reference, r.UID), metav1.PatchOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		k.Loop.Wrote(k.Informer, reconcile.KeyOf(o.Meta), adopted)
		owned = append(owned, adopted)
	}
	Sort(owned)
	return owned, nil
}

// Current returns the revision of the owner's present template, which has the highest number of all: a new one, or an older
// one that was gone back to and gets a new number. collisions is the owner's collision count afterwards.
func (k *Keeper) Current(ctx context.Context, o Owner, revisions []*appsv1.ControllerRevision, collisions *int32) (*appsv1.ControllerRevision, *int32, error) {
	next := int64(1)
	if len(revisions) > 0 {
		next = revisions[len(revisions)-1].Revision + 1
	}
	fresh, err := New(o, next, collisions)
	if err != nil {
		return nil, collisions, err
	}
	for i := len(revisions) - 1; i >= 0; i-- {
		switch same := revisions[i]; {
		case !Equal(same, fresh):
		case i == len(revisions)-1:
			return same, collisions, nil
		default:
			renumbered, err := k.renumber(ctx, o, same, next)
			return renumbered, collisions, err
		}
	}
	return k.create(ctx, o, fresh, next, collisions)
}

func (k *Keeper) renumber(ctx context.Context, o Owner, r *appsv1.ControllerRevision, number int64) (*appsv1.ControllerRevision, error) {
	fresh := r.DeepCopy()
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		fresh.Revision = number
		written, err := k.Client.AppsV1().ControllerRevisions(r.Namespace).Update(ctx, fresh, metav1.UpdateOptions{})
		if err == nil {
			fresh = written
			k.Loop.Wrote(k.Informer, reconcile.KeyOf(o.Meta), written)
			return nil
		}
		if latest, getErr := k.Client.AppsV1().ControllerRevisions(r.Namespace).Get(ctx, r.Name, metav1.GetOptions{}); getErr == nil {
			fresh = latest
		}
		return err
	})
	return fresh, err
}

func (k *Keeper) create(ctx context.Context, o Owner, fresh *appsv1.ControllerRevision, number int64, collisions *int32) (*appsv1.ControllerRevision, *int32, error) {
	for {
		created, err := k.Client.AppsV1().ControllerRevisions(fresh.Namespace).Create(ctx, fresh, metav1.CreateOptions{})
		if err == nil {
			k.Loop.Wrote(k.Informer, reconcile.KeyOf(o.Meta), created)
			return created, collisions, nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return nil, collisions, err
		}
		there, getErr := k.Client.AppsV1().ControllerRevisions(fresh.Namespace).Get(ctx, fresh.Name, metav1.GetOptions{})
		if getErr != nil {
			return nil, collisions, getErr
		}
		if metav1.IsControlledBy(there, o.Meta) && Equal(there, fresh) {
			k.Loop.Wrote(k.Informer, reconcile.KeyOf(o.Meta), there)
			return there, collisions, nil
		}
		collisions = ptr.To(ptr.Deref(collisions, 0) + 1)
		if fresh, err = New(o, number, collisions); err != nil {
			return nil, collisions, err
		}
	}
}

// Delete removes revisions.
func (k *Keeper) Delete(ctx context.Context, o Owner, revisions []*appsv1.ControllerRevision) error {
	for _, r := range revisions {
		err := k.Client.AppsV1().ControllerRevisions(r.Namespace).Delete(ctx, r.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(r.UID))})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return err
		}
		k.Loop.Deleted(k.Informer, reconcile.KeyOf(o.Meta), r)
	}
	return nil
}
