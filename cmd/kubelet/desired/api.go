package desired

import (
	"context"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// WatchAPI gives set the pods that the API binds to the node, until ctx ends.
func WatchAPI(ctx context.Context, client kubernetes.Interface, node string, set *Set) error {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", node).String()
	}))
	informer := factory.Core().V1().Pods().Informer()
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { set.Update(API, fromAPI(obj.(*v1.Pod))) },
		UpdateFunc: func(old, obj any) {
			if before := old.(*v1.Pod); before.UID != obj.(*v1.Pod).UID {
				set.Remove(API, before) // its end was missed: one of the same name has taken its place meanwhile
			}
			set.Update(API, fromAPI(obj.(*v1.Pod)))
		},
		DeleteFunc: func(obj any) {
			if t, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = t.Obj
			}
			if p, ok := obj.(*v1.Pod); ok {
				set.Remove(API, p)
			}
		},
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	go func() {
		if cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
			set.Ready(API)
		}
	}()
	return nil
}

// fromAPI marks the pod's source on a copy: the cache's objects are shared.
func fromAPI(p *v1.Pod) *v1.Pod {
	if p.Annotations[AnnotationSource] == "" || IsMirror(p) {
		return p
	}
	// Nobody but a kubelet says where a pod comes from: such an annotation on an API pod means nothing.
	c := p.DeepCopy()
	delete(c.Annotations, AnnotationSource)
	return c
}
