// Package namespace empties namespaces that are being deleted, and lets them go when nothing is left in them.
package namespace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"pilotis.dev/pkg/reconcile"
)

// parallel bounds the requests for one namespace.
const parallel = 16

// The pauses between two looks at a namespace that still has content grow from the first to the longest: each look lists every kind.
const (
	firstPause   = 500 * time.Millisecond
	longestPause = 10 * time.Second
)

type controller struct {
	namespaces coreinformers.NamespaceInformer
	client     kubernetes.Interface
	metadata   metadata.Interface
	discovery  discovery.DiscoveryInterface
}

// New returns the controller. A namespace that still has content is looked at again after period at the latest, if it
// is not 0 and shorter than the longest pause.
func New(namespaces coreinformers.NamespaceInformer, client kubernetes.Interface, m metadata.Interface, d discovery.DiscoveryInterface, period time.Duration, workers int) *reconcile.Controller {
	c := &controller{namespaces: namespaces, client: client, metadata: m, discovery: d}
	longest := longestPause
	if period > 0 {
		longest = min(longest, period)
	}
	r := reconcile.New("namespace", reconcile.Func(c.reconcile), reconcile.Options{Workers: workers, BaseDelay: firstPause, MaxDelay: longest})
	r.Watch(namespaces.Informer(), nil)
	watchDeletions(namespaces.Informer(), r.Enqueue)
	return r
}

// watchDeletions calls look when a namespace starts to terminate. What happens to it then are mostly our own writes of its status,
// and no reason to look again.
func watchDeletions(namespaces cache.SharedIndexInformer, look func(reconcile.Key)) {
	_, err := namespaces.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if n, ok := obj.(*v1.Namespace); ok && n.DeletionTimestamp != nil {
				look(reconcile.KeyOf(n))
			}
		},
		UpdateFunc: func(old, obj any) {
			before, ok1 := old.(*v1.Namespace)
			n, ok2 := obj.(*v1.Namespace)
			if ok1 && ok2 && n.DeletionTimestamp != nil && (before.DeletionTimestamp == nil || before.UID != n.UID) {
				look(reconcile.KeyOf(n))
			}
		},
	})
	if err != nil { // the informer was stopped
		klog.Background().V(2).Info("Event handler not added", "controller", "namespace", "err", err)
	}
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	ns, err := c.namespaces.Lister().Get(key.Name)
	if err != nil || ns.DeletionTimestamp == nil || !slices.Contains(ns.Spec.Finalizers, v1.FinalizerKubernetes) {
		return reconcile.Result{}, reconcile.IgnoreNotFound(err)
	}
	resources, groups := c.deletable()
	found := c.empty(ctx, ns.Name, resources)
	found.groups = groups
	if err := c.report(ctx, ns, found); err != nil {
		return reconcile.Result{}, err
	}
	if err := found.obstacle(); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, c.finalize(ctx, ns.Name)
}

// resource is a kind of object that can be listed and deleted in a namespace.
type resource struct {
	schema.GroupVersionResource
	collection bool // deletecollection works
}

// deletable asks the server what there is. A group that does not answer is a fault: what it holds is not known.
func (c *controller) deletable() ([]resource, error) {
	lists, err := c.discovery.ServerPreferredNamespacedResources()
	var out []resource
	for _, l := range lists {
		gv, parseErr := schema.ParseGroupVersion(l.GroupVersion)
		if parseErr != nil {
			continue
		}
		for _, r := range l.APIResources {
			if strings.Contains(r.Name, "/") || !slices.Contains(r.Verbs, "delete") || !slices.Contains(r.Verbs, "list") {
				continue
			}
			out = append(out, resource{gv.WithResource(r.Name), slices.Contains(r.Verbs, "deletecollection")})
		}
	}
	return out, err
}

// content is what was found in a namespace.
type content struct {
	groups    error // of discovery
	remaining map[schema.GroupVersionResource]int
	waiting   map[string]int // objects by the finalizer they wait for
	errs      []error
}

// obstacle is why the namespace cannot go yet. What is only being deleted is part of normal operation.
func (f content) obstacle() error {
	if failure := errors.Join(append(f.errs, f.groups)...); failure != nil {
		return failure
	}
	if len(f.remaining) > 0 {
		return fmt.Errorf("waiting for the end of its content, %s: %w", counted(f.remaining), reconcile.ErrRoutine)
	}
	return nil
}

// empty deletes what is there: pods first, since policies and identities must hold as long as they run, and everything
// else when they are gone (KEP-5080).
func (c *controller) empty(ctx context.Context, namespace string, resources []resource) content {
	found := content{remaining: map[schema.GroupVersionResource]int{}, waiting: map[string]int{}}
	isPods := func(r resource) bool { return r.Group == "" && r.Resource == "pods" }
	for _, r := range resources {
		if isPods(r) {
			c.sweep(ctx, namespace, []resource{r}, &found)
		}
	}
	if len(found.remaining) > 0 || len(found.errs) > 0 {
		return found
	}
	c.sweep(ctx, namespace, slices.DeleteFunc(slices.Clone(resources), isPods), &found)
	return found
}

type swept struct {
	resource resource
	left     []metav1.PartialObjectMetadata
	err      error
}

// sweep deletes several kinds in parallel and notes what is left.
func (c *controller) sweep(ctx context.Context, namespace string, resources []resource, found *content) {
	results := make(chan swept)
	slots := make(chan struct{}, parallel)
	for _, r := range resources {
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			left, err := c.deleteAll(ctx, namespace, r)
			results <- swept{r, left, err}
		}()
	}
	for range resources {
		s := <-results
		switch {
		case s.err != nil:
			found.errs = append(found.errs, fmt.Errorf("%s: %w", s.resource.GroupVersionResource, s.err))
		case len(s.left) > 0:
			found.remaining[s.resource.GroupVersionResource] = len(s.left)
		}
		for _, o := range s.left {
			for _, f := range o.Finalizers {
				found.waiting[f]++
			}
		}
	}
}

// deleteAll deletes all objects of a kind and lists what is still there.
func (c *controller) deleteAll(ctx context.Context, namespace string, r resource) ([]metav1.PartialObjectMetadata, error) {
	client := c.metadata.Resource(r.GroupVersionResource).Namespace(namespace)
	list, err := client.List(ctx, metav1.ListOptions{})
	if err != nil || len(list.Items) == 0 {
		return nil, gone(err)
	}
	background := metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{PropagationPolicy: &background}
	if slices.ContainsFunc(list.Items, func(o metav1.PartialObjectMetadata) bool { return o.DeletionTimestamp == nil }) {
		if r.collection {
			err = client.DeleteCollection(ctx, options, metav1.ListOptions{})
		}
		if !r.collection || apierrors.IsMethodNotSupported(err) {
			err = nil
			for _, o := range list.Items {
				if e := reconcile.IgnoreNotFound(client.Delete(ctx, o.Name, options)); e != nil && err == nil {
					err = e
				}
			}
		}
		if gone(err) != nil {
			return nil, err
		}
		if list, err = client.List(ctx, metav1.ListOptions{}); err != nil {
			return nil, gone(err)
		}
	}
	return list.Items, nil
}

// gone: the kind itself vanished, with a custom resource definition perhaps.
func gone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
		return nil
	}
	return err
}

// report tells in the namespace's conditions what keeps it (API reference of NamespaceConditionType).
func (c *controller) report(ctx context.Context, ns *v1.Namespace, f content) error {
	update := ns.DeepCopy()
	set := func(kind v1.NamespaceConditionType, holds bool, trueReason, message, falseReason, falseMessage string) {
		want := v1.NamespaceCondition{Type: kind, Status: v1.ConditionFalse, Reason: falseReason, Message: falseMessage, LastTransitionTime: metav1.Now()}
		if holds {
			want.Status, want.Reason, want.Message = v1.ConditionTrue, trueReason, message
		}
		i := slices.IndexFunc(update.Status.Conditions, func(c v1.NamespaceCondition) bool { return c.Type == kind })
		if i < 0 {
			update.Status.Conditions = append(update.Status.Conditions, want)
			return
		}
		have := &update.Status.Conditions[i]
		if have.Status == want.Status {
			want.LastTransitionTime = have.LastTransitionTime
		}
		*have = want
	}
	set(v1.NamespaceDeletionDiscoveryFailure, f.groups != nil, "DiscoveryFailed", fmt.Sprintf("Discovery failed for some groups: %v", f.groups), "ResourcesDiscovered", "All resources successfully discovered")
	set(v1.NamespaceDeletionGVParsingFailure, false, "", "", "ParsedGroupVersions", "All legacy kube types successfully parsed")
	set(v1.NamespaceDeletionContentFailure, len(f.errs) > 0, "ContentDeletionFailed", fmt.Sprintf("Failed to delete all resource types, %d remaining: %v", len(f.errs), joined(f.errs)), "ContentDeleted", "All content successfully deleted, may be waiting on finalization")
	set(v1.NamespaceContentRemaining, len(f.remaining) > 0, "SomeResourcesRemain", "Some resources are remaining: "+counted(f.remaining), "ContentRemoved", "All content successfully removed")
	set(v1.NamespaceFinalizersRemaining, len(f.waiting) > 0, "SomeFinalizersRemain", "Some content in the namespace has finalizers remaining: "+countedFinalizers(f.waiting), "ContentHasNoFinalizers", "All content-preserving finalizers finished")
	update.Status.Phase = v1.NamespaceTerminating
	if slices.EqualFunc(update.Status.Conditions, ns.Status.Conditions, func(a, b v1.NamespaceCondition) bool { return a.Status == b.Status && a.Message == b.Message }) {
		return nil
	}
	_, err := c.client.CoreV1().Namespaces().UpdateStatus(ctx, update, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		return nil // the next look tells
	}
	return reconcile.IgnoreNotFound(err)
}

func joined(errs []error) string {
	var out []string
	for _, e := range errs {
		out = append(out, e.Error())
	}
	sort.Strings(out)
	return strings.Join(out, ", ")
}

func counted(m map[schema.GroupVersionResource]int) string {
	var out []string
	for r, n := range m {
		out = append(out, fmt.Sprintf("%s.%s has %d resource instances", r.Resource, r.Group, n))
	}
	sort.Strings(out)
	return strings.Join(out, ", ")
}

func countedFinalizers(m map[string]int) string {
	var out []string
	for f, n := range m {
		out = append(out, fmt.Sprintf("%s in %d resource instances", f, n))
	}
	sort.Strings(out)
	return strings.Join(out, ", ")
}

// finalize takes the finalizer "kubernetes" away, with which the server lets the namespace go.
func (c *controller) finalize(ctx context.Context, name string) error {
	ns, err := c.client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if err != nil || ns.DeletionTimestamp == nil {
		return reconcile.IgnoreNotFound(err)
	}
	ns.Spec.Finalizers = slices.DeleteFunc(ns.Spec.Finalizers, func(f v1.FinalizerName) bool { return f == v1.FinalizerKubernetes })
	_, err = c.client.CoreV1().Namespaces().Finalize(ctx, ns, metav1.UpdateOptions{})
	return reconcile.IgnoreNotFound(err)
}
