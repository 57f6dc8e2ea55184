// Package resourcequota counts what namespaces use of their quotas.
package resourcequota

import (
	"context"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	quotav1 "k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"k8s.io/apimachinery/pkg/api/meta"

	"pilotis.dev/cmd/kube-controller-manager/controllers/kinds"
	"pilotis.dev/pkg/quota"
	"pilotis.dev/pkg/reconcile"
)

// Config of the controller.
type Config struct {
	Informers         informers.SharedInformerFactory
	MetadataInformers metadatainformer.SharedInformerFactory
	Client            kubernetes.Interface
	Metadata          metadata.Interface
	// Kinds tells of objects of every kind that end, for quotas of count/<resource>.<group>.
	Kinds   *kinds.Watcher
	Mapper  meta.RESTMapper
	Workers int
	Resync  time.Duration
}

// New returns the controller; its keys are quotas.
func New(c Config) *reconcile.Controller {
	quotas := c.Informers.Core().V1().ResourceQuotas()
	configuration := quota.NewConfiguration(c.list, clock.RealClock{})
	settling := &settling{last: map[reconcile.Key]change{}}
	r := reconcile.New("resourcequota_primary", reconcile.Func(func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
		q, err := quotas.Lister().ResourceQuotas(key.Namespace).Get(key.Name)
		if err != nil {
			settling.forget(key)
			return reconcile.Result{}, reconcile.IgnoreNotFound(err)
		}
		if wait := settling.wait(key, q, time.Now()); wait > 0 {
			return reconcile.Result{RequeueAfter: wait}, nil
		}
		used, err := quotav1.CalculateUsage(q.Namespace, q.Spec.Scopes, q.Spec.Hard, c.registry(configuration, q), q.Spec.ScopeSelector)
		if err != nil && len(used) == 0 {
			return reconcile.Result{}, err
		}
		status := v1.ResourceQuotaStatus{Hard: q.Spec.Hard, Used: quotav1.Mask(used, quotav1.ResourceNames(q.Spec.Hard))}
		if !equality.Semantic.DeepEqual(status, q.Status) {
			update := q.DeepCopy()
			update.Status = status
			if _, err := c.Client.CoreV1().ResourceQuotas(q.Namespace).UpdateStatus(ctx, update, metav1.UpdateOptions{}); err != nil {
				return reconcile.Result{}, err
			}
		}
		return reconcile.Result{RequeueAfter: c.Resync}, err
	}), reconcile.Options{Workers: c.Workers})
	r.Watch(quotas.Informer(), func(obj any) []reconcile.Key {
		q, ok := obj.(*v1.ResourceQuota)
		if !ok {
			return nil
		}
		key := reconcile.KeyOf(q)
		settling.changed(key, q.ResourceVersion, time.Now())
		return []reconcile.Key{key}
	})
	// What admission counted up goes down again when objects end.
	inNamespace := func(obj any) []reconcile.Key {
		o, err := meta.Accessor(obj)
		if err != nil {
			return nil
		}
		all, err := quotas.Lister().ResourceQuotas(o.GetNamespace()).List(labels.Everything())
		if err != nil {
			return nil
		}
		var keys []reconcile.Key
		for _, q := range all {
			keys = append(keys, reconcile.Key{Namespace: q.Namespace, Name: q.Name})
		}
		return keys
	}
	counted := c.counted()
	for _, i := range counted {
		r.Watch(i, inNamespace)
	}
	c.Kinds.Subscribe(kinds.Handler{
		Changed: func(kinds.Kind, metav1.Object, metav1.Object) {}, // admission counts what is created
		Gone: func(k kinds.Kind, obj metav1.Object) {
			if counted[k.GroupVersionResource] != nil {
				return
			}
			for _, key := range inNamespace(obj) {
				if q, err := quotas.Lister().ResourceQuotas(key.Namespace).Get(key.Name); err == nil && countsKind(q, k.GroupResource()) {
					r.Enqueue(key)
				}
			}
		},
	})
	return r
}

// counted are the informers of the kinds that most quotas name. Of kinds that are counted by number alone, and whose
// content can be large, only metadata is kept.
func (c Config) counted() map[schema.GroupVersionResource]cache.SharedIndexInformer {
	core := c.Informers.Core().V1()
	v := func(resource string) schema.GroupVersionResource { return v1.SchemeGroupVersion.WithResource(resource) }
	informers := map[schema.GroupVersionResource]cache.SharedIndexInformer{
		v("pods"): core.Pods().Informer(), v("services"): core.Services().Informer(), v("persistentvolumeclaims"): core.PersistentVolumeClaims().Informer(),
		v("replicationcontrollers"): core.ReplicationControllers().Informer(), v("resourcequotas"): core.ResourceQuotas().Informer(),
	}
	for _, resource := range []string{"configmaps", "secrets"} {
		informers[v(resource)] = c.MetadataInformers.ForResource(v(resource)).Informer()
	}
	return informers
}

// list reads a kind from its informer, or asks the server for the objects' metadata, which is enough to count them.
func (c Config) list(resource schema.GroupVersionResource, namespace string) ([]runtime.Object, error) {
	if informer := c.counted()[resource]; informer != nil {
		var out []runtime.Object
		err := cache.ListAllByNamespace(informer.GetIndexer(), namespace, labels.Everything(), func(obj any) {
			if o, ok := obj.(runtime.Object); ok {
				out = append(out, o)
			}
		})
		return out, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	found, err := c.Metadata.Resource(resource).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var out []runtime.Object
	for i := range found.Items {
		out = append(out, &found.Items[i])
	}
	return out, nil
}

// registry adds counters for the quota's names of the form count/<resource>.<group> that nobody else counts.
func (c Config) registry(configuration quotav1.Configuration, q *v1.ResourceQuota) quotav1.Registry {
	evaluators := append([]quotav1.Evaluator{}, configuration.Evaluators()...)
	for name := range q.Spec.Hard {
		counted, ok := strings.CutPrefix(string(name), "count/")
		if !ok || matched(evaluators, name) {
			continue
		}
		gr := schema.ParseGroupResource(counted)
		gvr, err := c.Mapper.ResourceFor(gr.WithVersion(""))
		if err != nil {
			continue // no such kind: nothing of it is used
		}
		evaluators = append(evaluators, generic.NewObjectCountEvaluator(gr, func(namespace string) ([]runtime.Object, error) { return c.list(gvr, namespace) }, ""))
	}
	return generic.NewRegistry(evaluators)
}

// countsKind tells whether the quota names count/<resource>.<group> of the resource.
func countsKind(q *v1.ResourceQuota, resource schema.GroupResource) bool {
	_, named := q.Spec.Hard[generic.ObjectCountQuotaResourceNameFor(resource)]
	return named
}

func matched(evaluators []quotav1.Evaluator, name v1.ResourceName) bool {
	for _, e := range evaluators {
		if len(e.MatchingResources([]v1.ResourceName{name})) > 0 {
			return true
		}
	}
	return false
}
