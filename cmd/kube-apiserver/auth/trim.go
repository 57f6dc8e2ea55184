package auth

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// podTrimmer keeps of a pod what this process reads from its cache: who it is, where it runs and what it refers to.
// The cache holds every pod of the cluster; most of a pod is its status and the details of its containers. Pods that
// refer to the same things by their volumes, as all do whose only volume is that of their token, share one list of them.
type podTrimmer struct {
	mu     sync.Mutex
	shared map[string][]corev1.Volume // by their encoding
}

// maxShared is how many lists of volumes are known at once.
const maxShared = 1024

func (t *podTrimmer) trim(obj any) (any, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil // a tombstone holds a pod that was trimmed before
	}
	pod.ObjectMeta = metav1.ObjectMeta{
		Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
		DeletionTimestamp: pod.DeletionTimestamp, DeletionGracePeriodSeconds: pod.DeletionGracePeriodSeconds,
		Annotations: mirrorAnnotation(pod.Annotations),
	}
	spec := pod.Spec
	pod.Spec = corev1.PodSpec{
		NodeName: spec.NodeName, ServiceAccountName: spec.ServiceAccountName, Volumes: t.volumes(spec.Volumes),
		ImagePullSecrets: spec.ImagePullSecrets, ResourceClaims: spec.ResourceClaims,
		InitContainers: trimContainers(spec.InitContainers), Containers: trimContainers(spec.Containers),
	}
	for i := range spec.EphemeralContainers {
		c := &spec.EphemeralContainers[i]
		if env := references(c.Env); len(env)+len(c.EnvFrom) > 0 {
			pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{
				EphemeralContainerCommon: corev1.EphemeralContainerCommon{EnvFrom: c.EnvFrom, Env: env},
			})
		}
	}
	pod.Status = corev1.PodStatus{
		ResourceClaimStatuses: pod.Status.ResourceClaimStatuses, ExtendedResourceClaimStatus: pod.Status.ExtendedResourceClaimStatus,
	}
	return pod, nil
}

// volumes keeps the volumes that may refer to something. Their names count only for ephemeral ones, whose claim is
// called after them.
func (t *podTrimmer) volumes(all []corev1.Volume) []corev1.Volume {
	var referring corev1.PodSpec
	for _, v := range all {
		if v.EmptyDir != nil || v.HostPath != nil || v.DownwardAPI != nil || v.NFS != nil || v.Image != nil {
			continue
		}
		if v.Ephemeral == nil {
			v.Name = ""
		}
		referring.Volumes = append(referring.Volumes, v)
	}
	if len(referring.Volumes) == 0 {
		return nil
	}
	encoded, err := referring.Marshal()
	if err != nil {
		return referring.Volumes
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if known, ok := t.shared[string(encoded)]; ok {
		return known
	}
	if len(t.shared) >= maxShared || t.shared == nil {
		t.shared = map[string][]corev1.Volume{}
	}
	t.shared[string(encoded)] = referring.Volumes
	return referring.Volumes
}

func mirrorAnnotation(all map[string]string) map[string]string {
	if v, ok := all[corev1.MirrorPodAnnotationKey]; ok {
		return map[string]string{corev1.MirrorPodAnnotationKey: v}
	}
	return nil
}

// trimContainers keeps the containers that refer to something.
func trimContainers(all []corev1.Container) []corev1.Container {
	var out []corev1.Container
	for i := range all {
		if env := references(all[i].Env); len(env)+len(all[i].EnvFrom) > 0 {
			out = append(out, corev1.Container{EnvFrom: all[i].EnvFrom, Env: env})
		}
	}
	return out
}

// references are the variables that come from a Secret or a ConfigMap.
func references(env []corev1.EnvVar) []corev1.EnvVar {
	var out []corev1.EnvVar
	for _, e := range env {
		if e.ValueFrom != nil && (e.ValueFrom.SecretKeyRef != nil || e.ValueFrom.ConfigMapKeyRef != nil) {
			out = append(out, e)
		}
	}
	return out
}
