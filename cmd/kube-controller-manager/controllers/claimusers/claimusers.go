// Package claimusers tells which pods use a PersistentVolumeClaim, by an index over the shared cache of pods.
package claimusers

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-helpers/storage/ephemeral"

	"pilotis.dev/pkg/reconcile"
)

const byClaim = "claimusers/claim"

// Users reads the pods of claims.
type Users struct{ indexer cache.Indexer }

// New adds the index to the informer of pods, once for all controllers that share it. It has to be called before the informer starts.
func New(pods cache.SharedIndexInformer) (Users, error) {
	if _, there := pods.GetIndexer().GetIndexers()[byClaim]; !there {
		err := pods.AddIndexers(cache.Indexers{byClaim: func(obj any) ([]string, error) {
			var keys []string
			for _, key := range Claims(obj) {
				keys = append(keys, key.String())
			}
			return keys, nil
		}})
		if err != nil {
			return Users{}, err
		}
	}
	return Users{pods.GetIndexer()}, nil
}

// Of returns the pods that name the claim; for a claim of a generic ephemeral volume the pod it would belong to.
func (u Users) Of(claim reconcile.Key) []*v1.Pod {
	found, err := u.indexer.ByIndex(byClaim, claim.String())
	if err != nil { // only for an unknown index
		return nil
	}
	pods := make([]*v1.Pod, 0, len(found))
	for _, obj := range found {
		if pod, ok := obj.(*v1.Pod); ok {
			pods = append(pods, pod)
		}
	}
	return pods
}

// Claims are the keys of a pod's claims, as a keys function for Watch.
func Claims(obj any) []reconcile.Key {
	pod, ok := obj.(*v1.Pod)
	if !ok {
		return nil
	}
	var keys []reconcile.Key
	for i := range pod.Spec.Volumes {
		if name := ClaimName(pod, &pod.Spec.Volumes[i]); name != "" {
			keys = append(keys, reconcile.Key{Namespace: pod.Namespace, Name: name})
		}
	}
	return keys
}

// ClaimName is the claim behind a pod's volume; empty for other kinds of volume.
func ClaimName(pod *v1.Pod, v *v1.Volume) string {
	switch {
	case v.PersistentVolumeClaim != nil:
		return v.PersistentVolumeClaim.ClaimName
	case v.Ephemeral != nil:
		return ephemeral.VolumeClaimName(pod, v)
	}
	return ""
}

// Ended tells whether a pod's containers have stopped for good.
func Ended(pod *v1.Pod) bool {
	return pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
}
