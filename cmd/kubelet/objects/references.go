package objects

import v1 "k8s.io/api/core/v1"

// references lists the ConfigMaps and Secrets that a pod names anywhere in its specification.
func references(pod *v1.Pod) map[ref]struct{} {
	found := map[ref]struct{}{}
	add := func(k kind, name string) {
		if name != "" {
			found[ref{k, pod.Namespace, name}] = struct{}{}
		}
	}
	for _, s := range pod.Spec.ImagePullSecrets {
		add(secrets, s.Name)
	}
	for i := range pod.Spec.Volumes {
		volumeReferences(&pod.Spec.Volumes[i], add)
	}
	for i := range pod.Spec.InitContainers {
		containerReferences(pod.Spec.InitContainers[i].Env, pod.Spec.InitContainers[i].EnvFrom, add)
	}
	for i := range pod.Spec.Containers {
		containerReferences(pod.Spec.Containers[i].Env, pod.Spec.Containers[i].EnvFrom, add)
	}
	for i := range pod.Spec.EphemeralContainers {
		containerReferences(pod.Spec.EphemeralContainers[i].Env, pod.Spec.EphemeralContainers[i].EnvFrom, add)
	}
	return found
}

func containerReferences(env []v1.EnvVar, from []v1.EnvFromSource, add func(kind, string)) {
	for _, f := range from {
		if f.ConfigMapRef != nil {
			add(configMaps, f.ConfigMapRef.Name)
		}
		if f.SecretRef != nil {
			add(secrets, f.SecretRef.Name)
		}
	}
	for _, e := range env {
		if e.ValueFrom == nil {
			continue
		}
		if r := e.ValueFrom.ConfigMapKeyRef; r != nil {
			add(configMaps, r.Name)
		}
		if r := e.ValueFrom.SecretKeyRef; r != nil {
			add(secrets, r.Name)
		}
	}
}

func volumeReferences(v *v1.Volume, add func(kind, string)) {
	switch {
	case v.ConfigMap != nil:
		add(configMaps, v.ConfigMap.Name)
	case v.Secret != nil:
		add(secrets, v.Secret.SecretName)
	case v.CSI != nil && v.CSI.NodePublishSecretRef != nil:
		add(secrets, v.CSI.NodePublishSecretRef.Name)
	case v.Projected != nil:
		for _, p := range v.Projected.Sources {
			if p.ConfigMap != nil {
				add(configMaps, p.ConfigMap.Name)
			}
			if p.Secret != nil {
				add(secrets, p.Secret.Name)
			}
		}
	}
}
