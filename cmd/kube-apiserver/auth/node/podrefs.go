package node

import (
	corev1 "k8s.io/api/core/v1"
)

// podRefs are the objects that a pod refers to and its kubelet reads, each once.
func podRefs(pod *corev1.Pod) []key {
	c := refCollector{namespace: pod.Namespace, seen: map[key]bool{}}
	if pod.Spec.ServiceAccountName != "" {
		c.add(serviceAccountKind, pod.Spec.ServiceAccountName)
	}
	for _, s := range pod.Spec.ImagePullSecrets {
		c.add(secretKind, s.Name)
	}
	for i := range pod.Spec.InitContainers {
		c.env(pod.Spec.InitContainers[i].EnvFrom, pod.Spec.InitContainers[i].Env)
	}
	for i := range pod.Spec.Containers {
		c.env(pod.Spec.Containers[i].EnvFrom, pod.Spec.Containers[i].Env)
	}
	for i := range pod.Spec.EphemeralContainers {
		c.env(pod.Spec.EphemeralContainers[i].EnvFrom, pod.Spec.EphemeralContainers[i].Env)
	}
	for i := range pod.Spec.Volumes {
		c.volume(pod.Name, &pod.Spec.Volumes[i])
	}
	for _, claim := range pod.Spec.ResourceClaims {
		if claim.ResourceClaimName != nil {
			c.add(resourceClaimKind, *claim.ResourceClaimName)
		}
	}
	for _, status := range pod.Status.ResourceClaimStatuses {
		if status.ResourceClaimName != nil {
			c.add(resourceClaimKind, *status.ResourceClaimName)
		}
	}
	if s := pod.Status.ExtendedResourceClaimStatus; s != nil {
		c.add(resourceClaimKind, s.ResourceClaimName)
	}
	return c.refs
}

type refCollector struct {
	namespace string
	seen      map[key]bool
	refs      []key
}

func (c *refCollector) add(k kind, name string) {
	r := key{k, c.namespace, name}
	if name == "" || c.seen[r] {
		return
	}
	c.seen[r] = true
	c.refs = append(c.refs, r)
}

func (c *refCollector) env(from []corev1.EnvFromSource, env []corev1.EnvVar) {
	for _, f := range from {
		if f.SecretRef != nil {
			c.add(secretKind, f.SecretRef.Name)
		}
		if f.ConfigMapRef != nil {
			c.add(configMapKind, f.ConfigMapRef.Name)
		}
	}
	for _, e := range env {
		if e.ValueFrom == nil {
			continue
		}
		if r := e.ValueFrom.SecretKeyRef; r != nil {
			c.add(secretKind, r.Name)
		}
		if r := e.ValueFrom.ConfigMapKeyRef; r != nil {
			c.add(configMapKind, r.Name)
		}
	}
}

func (c *refCollector) volume(podName string, v *corev1.Volume) {
	local := func(r *corev1.LocalObjectReference) {
		if r != nil {
			c.add(secretKind, r.Name)
		}
	}
	switch {
	case v.Secret != nil:
		c.add(secretKind, v.Secret.SecretName)
	case v.ConfigMap != nil:
		c.add(configMapKind, v.ConfigMap.Name)
	case v.PersistentVolumeClaim != nil:
		c.add(claimKind, v.PersistentVolumeClaim.ClaimName)
	case v.Ephemeral != nil:
		c.add(claimKind, podName+"-"+v.Name)
	case v.Projected != nil:
		for _, s := range v.Projected.Sources {
			if s.Secret != nil {
				c.add(secretKind, s.Secret.Name)
			}
			if s.ConfigMap != nil {
				c.add(configMapKind, s.ConfigMap.Name)
			}
		}
	case v.CSI != nil:
		local(v.CSI.NodePublishSecretRef)
	case v.ISCSI != nil:
		local(v.ISCSI.SecretRef)
	case v.RBD != nil:
		local(v.RBD.SecretRef)
	case v.CephFS != nil:
		local(v.CephFS.SecretRef)
	case v.Cinder != nil:
		local(v.Cinder.SecretRef)
	case v.FlexVolume != nil:
		local(v.FlexVolume.SecretRef)
	case v.ScaleIO != nil:
		local(v.ScaleIO.SecretRef)
	case v.StorageOS != nil:
		local(v.StorageOS.SecretRef)
	case v.AzureFile != nil:
		c.add(secretKind, v.AzureFile.SecretName)
	}
}

// volumeSecrets are the Secrets that a PersistentVolume refers to. Those without a namespace are in the claim's.
func volumeSecrets(pv *corev1.PersistentVolume, claimNamespace string) []key {
	var refs []key
	add := func(r *corev1.SecretReference) {
		if r == nil || r.Name == "" {
			return
		}
		ns := r.Namespace
		if ns == "" {
			ns = claimNamespace
		}
		refs = append(refs, key{secretKind, ns, r.Name})
	}
	s := &pv.Spec.PersistentVolumeSource
	switch {
	case s.CSI != nil:
		// the controller's own Secrets are not the node's business
		add(s.CSI.NodePublishSecretRef)
		add(s.CSI.NodeStageSecretRef)
		add(s.CSI.NodeExpandSecretRef)
	case s.ISCSI != nil:
		add(s.ISCSI.SecretRef)
	case s.RBD != nil:
		add(s.RBD.SecretRef)
	case s.CephFS != nil:
		add(s.CephFS.SecretRef)
	case s.Cinder != nil:
		add(s.Cinder.SecretRef)
	case s.FlexVolume != nil:
		add(s.FlexVolume.SecretRef)
	case s.ScaleIO != nil:
		add(s.ScaleIO.SecretRef)
	case s.StorageOS != nil && s.StorageOS.SecretRef != nil:
		add(&corev1.SecretReference{Name: s.StorageOS.SecretRef.Name, Namespace: s.StorageOS.SecretRef.Namespace})
	case s.AzureFile != nil:
		ref := &corev1.SecretReference{Name: s.AzureFile.SecretName}
		if s.AzureFile.SecretNamespace != nil {
			ref.Namespace = *s.AzureFile.SecretNamespace
		}
		add(ref)
	}
	return refs
}
