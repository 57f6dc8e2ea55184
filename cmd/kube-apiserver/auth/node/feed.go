package node

import (
	"fmt"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// feed is an informer and what is done with its objects.
type feed struct {
	informer cache.SharedIndexInformer
	set      func(obj any, gone bool)
}

// Watch keeps the graph from informers, which must not have been started yet. synced reports when all has been seen once.
// serves says of a resource that came late whether the server has it; nil is yes.
func (g *Graph) Watch(in informers.SharedInformerFactory, serves func(schema.GroupVersionResource, runtime.Object) bool) (synced func() bool, err error) {
	var done []cache.InformerSynced
	feeds := map[string]feed{
		"pods":              {in.Core().V1().Pods().Informer(), g.pod},
		"persistentvolumes": {in.Core().V1().PersistentVolumes().Informer(), g.persistentVolume},
		"volumeattachments": {in.Storage().V1().VolumeAttachments().Informer(), g.attachment},
		"resourceslices":    {in.Resource().V1().ResourceSlices().Informer(), g.slice},
	}
	if requests := certificatesv1.SchemeGroupVersion.WithResource("podcertificaterequests"); serves == nil || serves(requests, &certificatesv1.PodCertificateRequest{}) {
		feeds[requests.Resource] = feed{in.Certificates().V1().PodCertificateRequests().Informer(), g.certificateRequest}
	}
	for name, feed := range feeds {
		reg, err := feed.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { feed.set(obj, false) },
			UpdateFunc: func(_, obj any) { feed.set(obj, false) },
			DeleteFunc: func(obj any) {
				if t, ok := obj.(cache.DeletedFinalStateUnknown); ok {
					obj = t.Obj
				}
				feed.set(obj, true)
			},
		})
		if err != nil {
			return nil, fmt.Errorf("watching %s for the node authorizer: %w", name, err)
		}
		done = append(done, reg.HasSynced)
	}
	return func() bool {
		for _, d := range done {
			if !d() {
				return false
			}
		}
		return true
	}, nil
}

func (g *Graph) pod(obj any, gone bool) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return
	}
	k := key{podKind, pod.Namespace, pod.Name}
	if gone || pod.Spec.NodeName == "" {
		g.setPod(k, "", nil)
		return
	}
	var refs []key
	// A pod that the kubelet itself made for a static pod may refer to nothing: a node must not gain access by it.
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; !mirror {
		refs = podRefs(pod)
	}
	g.setPod(k, pod.Spec.NodeName, refs)
}

func (g *Graph) persistentVolume(obj any, gone bool) {
	pv, ok := obj.(*corev1.PersistentVolume)
	if !ok {
		return
	}
	k := key{volumeKind, "", pv.Name}
	if gone || pv.Spec.ClaimRef == nil {
		g.setVolume(k, key{}, nil)
		return
	}
	claim := key{claimKind, pv.Spec.ClaimRef.Namespace, pv.Spec.ClaimRef.Name}
	g.setVolume(k, claim, volumeSecrets(pv, claim.namespace))
}

func (g *Graph) attachment(obj any, gone bool) {
	if a, ok := obj.(*storagev1.VolumeAttachment); ok {
		g.own(key{attachmentKind, "", a.Name}, a.Spec.NodeName, gone)
	}
}

func (g *Graph) certificateRequest(obj any, gone bool) {
	if r, ok := obj.(*certificatesv1.PodCertificateRequest); ok {
		g.own(key{certificateRequestKind, r.Namespace, r.Name}, string(r.Spec.NodeName), gone)
	}
}

func (g *Graph) slice(obj any, gone bool) {
	if s, ok := obj.(*resourcev1.ResourceSlice); ok && s.Spec.NodeName != nil {
		g.own(key{sliceKind, "", s.Name}, *s.Spec.NodeName, gone)
	}
}

func (g *Graph) own(obj key, node string, gone bool) {
	if gone {
		node = ""
	}
	g.setOwned(obj, node)
}
