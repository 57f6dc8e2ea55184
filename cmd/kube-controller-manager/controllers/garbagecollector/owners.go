package garbagecollector

import (
	"context"
	"slices"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// coordinates are where an owner should be, by the reference of a dependent in namespace.
type coordinates struct {
	group, kind, namespace, name string
	uid                          types.UID
}

// allPresent tells from the graph alone that every owner is where the references say, and stays: the ordinary case, for which
// the server need not be asked.
func (c *Collector) allPresent(n *node) bool {
	for _, r := range n.Owners {
		o := c.graph.get(r.UID)
		if o == nil || o.foreground() || o.Name != r.Name || o.Kind.Kind.Kind != r.Kind || (o.Namespace != "" && o.Namespace != n.Namespace) {
			return false
		}
		if gv, err := schema.ParseGroupVersion(r.APIVersion); err != nil || gv.Group != o.Kind.Group {
			return false
		}
	}
	return true
}

// standings asks the server for each owner.
func (c *Collector) standings(ctx context.Context, n *node) ([]owner, error) {
	var out []owner
	for _, r := range n.Owners {
		s, err := c.ask(ctx, n, r)
		if err != nil {
			return nil, err
		}
		out = append(out, owner{Reference: r, Standing: s})
	}
	return out, nil
}

func (c *Collector) ask(ctx context.Context, n *node, r metav1.OwnerReference) (standing, error) {
	gv, err := schema.ParseGroupVersion(r.APIVersion)
	if err != nil {
		return unresolvable, nil
	}
	where := coordinates{gv.Group, r.Kind, n.Namespace, r.Name, r.UID}
	if _, known := c.absent.Get(where); known {
		return absent, nil
	}
	mapping, err := c.mapper.RESTMapping(gv.WithKind(r.Kind).GroupKind(), gv.Version)
	if meta.IsNoMatchError(err) {
		c.mu.Lock()
		c.unresolved[n.UID] = struct{}{}
		c.mu.Unlock()
		return unresolvable, nil
	}
	if err != nil {
		return unresolvable, err
	}
	namespace := ""
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		namespace = n.Namespace
		if namespace == "" {
			c.warn(n, r)
			return unresolvable, nil
		}
	}
	live, err := c.metadata.Resource(mapping.Resource).Namespace(namespace).Get(ctx, r.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) || (err == nil && live.UID != r.UID):
		if known := c.graph.get(r.UID); known != nil && known.Namespace != "" && known.Namespace != n.Namespace {
			c.warn(n, r)
		}
		c.absent.Add(where, nil)
		return absent, nil
	case err != nil:
		return unresolvable, err
	case live.DeletionTimestamp != nil && slices.Contains(live.Finalizers, metav1.FinalizerDeleteDependents):
		return waiting, nil
	}
	return solid, nil
}

// warn tells users of an owner that cannot be one: a namespaced owner of an object that is not in its namespace.
func (c *Collector) warn(n *node, r metav1.OwnerReference) {
	object := &v1.ObjectReference{APIVersion: n.Kind.Kind.GroupVersion().String(), Kind: n.Kind.Kind.Kind, Namespace: n.Namespace, Name: n.Name, UID: n.UID}
	c.recorder.Eventf(object, v1.EventTypeWarning, "OwnerRefInvalidNamespace",
		"ownerRef [%s/%s, namespace: %s, name: %s, uid: %s] does not exist in namespace %q", r.APIVersion, r.Kind, n.Namespace, r.Name, r.UID, n.Namespace)
}
