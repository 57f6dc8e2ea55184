// Package storagemigration rewrites all objects of a resource in the version in which the API server stores it now (KEP-4192):
// after an upgrade, or when an encryption key was changed. Of a custom resource, the versions that are stored no more leave its
// definition's status, so that they can be taken out of its spec.
package storagemigration

import (
	"context"
	"encoding/json"
	"fmt"

	migrationv1 "k8s.io/api/storagemigration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	migrationinformers "k8s.io/client-go/informers/storagemigration/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"

	"pilotis.dev/pkg/reconcile"
)

// page is how many objects are listed at once, and patched in parallel as far as the API server lets them in.
const page = 100

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// Config is what the controller is made from.
type Config struct {
	Migrations migrationinformers.StorageVersionMigrationInformer
	Client     kubernetes.Interface
	Objects    metadata.Interface
	Dynamic    dynamic.Interface
	Mapper     meta.ResettableRESTMapper
}

type controller struct {
	Config
	loop *reconcile.Controller
}

// New makes the controller; its keys are migrations.
func New(config Config) *reconcile.Controller {
	c := &controller{Config: config}
	c.loop = reconcile.New("storage_version_migrator", c, reconcile.Options{})
	c.loop.Watch(c.Migrations.Informer(), reconcile.ObjectKey)
	return c.loop
}

// Reconcile implements reconcile.Reconciler. A migration that is interrupted begins anew: what was rewritten is not due any more.
func (c *controller) Reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	m, err := c.Migrations.Lister().Get(key.Name)
	if err != nil || ended(m) {
		return reconcile.Result{}, reconcile.IgnoreNotFound(err)
	}
	resource := schema.GroupResource{Group: m.Spec.Resource.Group, Resource: m.Spec.Resource.Resource}
	served, err := c.served(resource)
	if meta.IsNoMatchError(err) {
		return reconcile.Result{}, c.write(ctx, key, end(m, fmt.Errorf("spec.resource: the API server serves no %s", resource)))
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	if m.Status.ResourceVersion == "" {
		list, err := c.Objects.Resource(served).List(ctx, metav1.ListOptions{Limit: 1})
		if err != nil {
			return reconcile.Result{}, fmt.Errorf("listing %s: %w", resource, err)
		}
		return reconcile.Result{}, c.write(ctx, key, begin(m, list.ResourceVersion))
	}
	before, err := c.storedVersion(ctx, resource)
	if err != nil {
		return reconcile.Result{}, err
	}
	if err := c.migrate(ctx, served, m.Status.ResourceVersion); err != nil {
		if !lasting(err) {
			return reconcile.Result{}, err
		}
		return reconcile.Result{}, c.write(ctx, key, end(m, err))
	}
	if before != "" {
		if err := c.dropVersions(ctx, resource, before); err != nil {
			return reconcile.Result{}, err
		}
	}
	return reconcile.Result{}, c.write(ctx, key, end(m, nil))
}

// served is the resource in a version that is served. One that has just been defined is found by a second look.
func (c *controller) served(resource schema.GroupResource) (schema.GroupVersionResource, error) {
	served, err := c.Mapper.ResourceFor(resource.WithVersion(""))
	if meta.IsNoMatchError(err) {
		c.Mapper.Reset()
		served, err = c.Mapper.ResourceFor(resource.WithVersion(""))
	}
	return served, err
}

func (c *controller) write(ctx context.Context, key reconcile.Key, update *migrationv1.StorageVersionMigration) error {
	written, err := c.Client.StoragemigrationV1().StorageVersionMigrations().UpdateStatus(ctx, update, metav1.UpdateOptions{})
	if err != nil {
		return reconcile.IgnoreNotFound(err)
	}
	c.loop.Wrote(c.Migrations.Informer(), key, written)
	return nil
}

// migrate rewrites what was last written before version.
func (c *controller) migrate(ctx context.Context, resource schema.GroupVersionResource, version string) error {
	for next := ""; ; {
		list, err := c.Objects.Resource(resource).List(ctx, metav1.ListOptions{Limit: page, Continue: next})
		if err != nil {
			return fmt.Errorf("listing %s: %w", resource.GroupResource(), err)
		}
		objects, err := due(list.Items, version)
		if err != nil {
			return err
		}
		_, err = reconcile.Parallel(ctx, len(objects), func(ctx context.Context, i int) error {
			o := objects[i]
			_, err := c.Objects.Resource(resource).Namespace(o.Namespace).Patch(ctx, o.Name, types.MergePatchType, rewrite(o), metav1.PatchOptions{})
			if err == nil || apierrors.IsNotFound(err) {
				return nil // rewritten, or gone
			}
			if apierrors.IsConflict(err) {
				return c.rewritten(ctx, resource, o, err)
			}
			return fmt.Errorf("rewriting %s %s: %w", resource.GroupResource(), reconcile.KeyOf(&o), err)
		})
		if next = list.Continue; err != nil || next == "" {
			return err
		}
	}
}

// rewritten tells by a nil error that an object was written by another since it was listed; else it is the conflict, whose cause is
// not known.
func (c *controller) rewritten(ctx context.Context, resource schema.GroupVersionResource, listed metav1.PartialObjectMetadata, conflict error) error {
	now, err := c.Objects.Resource(resource).Namespace(listed.Namespace).Get(ctx, listed.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	case now.UID == listed.UID && now.ResourceVersion == listed.ResourceVersion:
		return conflict
	}
	return nil
}

// lasting tells whether an error will be the same the next time.
func lasting(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsMethodNotSupported(err) || apierrors.IsBadRequest(err)
}

// storedVersion is that of a custom resource, and empty for any other.
func (c *controller) storedVersion(ctx context.Context, resource schema.GroupResource) (string, error) {
	definition, err := c.Dynamic.Resource(definitions).Get(ctx, resource.String(), metav1.GetOptions{})
	if err != nil {
		return "", reconcile.IgnoreNotFound(err)
	}
	versions, _, err := unstructured.NestedSlice(definition.Object, "spec", "versions")
	if err != nil {
		return "", err
	}
	for _, v := range versions {
		if v, ok := v.(map[string]any); ok && v["storage"] == true {
			name, _ := v["name"].(string)
			return name, nil
		}
	}
	return "", nil
}

// dropVersions leaves one version in status.storedVersions, unless the storage version has changed while objects were rewritten.
func (c *controller) dropVersions(ctx context.Context, resource schema.GroupResource, before string) error {
	definition, err := c.Dynamic.Resource(definitions).Get(ctx, resource.String(), metav1.GetOptions{})
	if err != nil {
		return reconcile.IgnoreNotFound(err)
	}
	if now, err := c.storedVersion(ctx, resource); err != nil || now != before {
		return err
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": definition.GetResourceVersion()},
		"status":   map[string]any{"storedVersions": []string{before}},
	})
	if err != nil {
		return err
	}
	_, err = c.Dynamic.Resource(definitions).Patch(ctx, definition.GetName(), types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}
