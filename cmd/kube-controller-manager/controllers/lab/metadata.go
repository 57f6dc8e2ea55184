package lab

import (
	"context"
	"errors"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/metadata"
	clienttesting "k8s.io/client-go/testing"
)

// propagate sets the finalizers that stand for a deletion's propagation policy, as the API server does; no policy leaves them.
func propagate(m metav1.Object, policy *metav1.DeletionPropagation) {
	if policy == nil {
		return
	}
	kept := slices.DeleteFunc(slices.Clone(m.GetFinalizers()), func(f string) bool {
		return f == metav1.FinalizerOrphanDependents || f == metav1.FinalizerDeleteDependents
	})
	switch *policy {
	case metav1.DeletePropagationOrphan:
		kept = append(kept, metav1.FinalizerOrphanDependents)
	case metav1.DeletePropagationForeground:
		kept = append(kept, metav1.FinalizerDeleteDependents)
	}
	m.SetFinalizers(kept)
}

// Metadata returns a metadata client of the server.
func (l *Lab) Metadata() metadata.Interface { return metadataClient{l} }

type metadataClient struct{ lab *Lab }

// Resource implements metadata.Interface.
func (c metadataClient) Resource(gvr schema.GroupVersionResource) metadata.Getter {
	return metadataResource{lab: c.lab, gvr: gvr}
}

type metadataResource struct {
	lab       *Lab
	gvr       schema.GroupVersionResource
	namespace string
}

// Namespace implements metadata.Getter.
func (r metadataResource) Namespace(namespace string) metadata.ResourceInterface {
	r.namespace = namespace
	return r
}

func partial(obj runtime.Object) *metav1.PartialObjectMetadata {
	p := meta.AsPartialObjectMetadata(accessor(obj))
	p.SetGroupVersionKind(mustKind(obj))
	return p
}

func (r metadataResource) kind() schema.GroupVersionKind {
	for kind := range scheme.Scheme.KnownTypes(r.gvr.GroupVersion()) {
		gvk := r.gvr.GroupVersion().WithKind(kind)
		if plural, _ := meta.UnsafeGuessKindToResource(gvk); plural == r.gvr {
			return gvk
		}
	}
	return schema.GroupVersionKind{}
}

// Delete implements metadata.ResourceInterface.
func (r metadataResource) Delete(_ context.Context, name string, options metav1.DeleteOptions, _ ...string) error {
	_, _, err := r.lab.react(clienttesting.NewDeleteActionWithOptions(r.gvr, r.namespace, name, options))
	return err
}

// DeleteCollection implements metadata.ResourceInterface.
func (r metadataResource) DeleteCollection(ctx context.Context, options metav1.DeleteOptions, list metav1.ListOptions) error {
	found, err := r.List(ctx, list)
	if err != nil {
		return err
	}
	for _, o := range found.Items {
		if err := r.Delete(ctx, o.Name, options); err != nil {
			return err
		}
	}
	return nil
}

// Get implements metadata.ResourceInterface.
func (r metadataResource) Get(_ context.Context, name string, _ metav1.GetOptions, _ ...string) (*metav1.PartialObjectMetadata, error) {
	_, obj, err := r.lab.react(clienttesting.NewGetAction(r.gvr, r.namespace, name))
	if err != nil {
		return nil, err
	}
	return partial(obj), nil
}

// List implements metadata.ResourceInterface.
func (r metadataResource) List(_ context.Context, options metav1.ListOptions) (*metav1.PartialObjectMetadataList, error) {
	_, obj, err := r.lab.react(clienttesting.NewListActionWithOptions(r.gvr, r.kind(), r.namespace, options))
	if err != nil {
		return nil, err
	}
	m, err := meta.ListAccessor(obj)
	if err != nil {
		return nil, err
	}
	out := &metav1.PartialObjectMetadataList{ListMeta: metav1.ListMeta{ResourceVersion: m.GetResourceVersion()}}
	err = meta.EachListItem(obj, func(o runtime.Object) error {
		out.Items = append(out.Items, *partial(o))
		return nil
	})
	return out, err
}

// Watch implements metadata.ResourceInterface.
func (r metadataResource) Watch(_ context.Context, options metav1.ListOptions) (watch.Interface, error) {
	action := clienttesting.NewWatchActionWithOptions(r.gvr, r.namespace, options)
	return r.lab.open(action, func(obj runtime.Object) runtime.Object { return partial(obj) }), nil
}

// IsWatchListSemanticsUnSupported makes informers list, then watch.
func (c metadataClient) IsWatchListSemanticsUnSupported() bool { return true }

// Patch implements metadata.ResourceInterface.
func (r metadataResource) Patch(_ context.Context, name string, kind types.PatchType, data []byte, _ metav1.PatchOptions, subresources ...string) (*metav1.PartialObjectMetadata, error) {
	if len(subresources) > 0 {
		return nil, errors.New("lab: subresources cannot be patched by metadata")
	}
	_, obj, err := r.lab.react(clienttesting.NewPatchAction(r.gvr, r.namespace, name, kind, data))
	if err != nil {
		return nil, err
	}
	return partial(obj), nil
}
