package admission

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// secretUse is one place where a pod names a Secret.
type secretUse struct {
	name  string
	where string // a text with the name in it
	pull  bool
}

// secretsOf are all places where a pod names a Secret that is mounted or read.
func secretsOf(pod *corev1.Pod) []secretUse {
	var out []secretUse
	for _, v := range pod.Spec.Volumes {
		for _, name := range volumeSecrets(&v) {
			out = append(out, secretUse{name: name, where: fmt.Sprintf("volume with secret.secretName=%q", name)})
		}
	}
	return append(append(out, containerSecrets(pod)...), pullSecrets(pod)...)
}

func pullSecrets(pod *corev1.Pod) []secretUse {
	var out []secretUse
	for i, s := range pod.Spec.ImagePullSecrets {
		out = append(out, secretUse{name: s.Name, where: fmt.Sprintf("imagePullSecrets[%d].name=%q", i, s.Name), pull: true})
	}
	return out
}

func containerSecrets(pod *corev1.Pod) []secretUse {
	kinds := map[string]string{"initContainers": "init container", "containers": "container", "ephemeralContainers": "ephemeral container"}
	var out []secretUse
	eachContainer(&pod.Spec, func(path string, _ int, c *corev1.Container) {
		for _, f := range c.EnvFrom {
			if f.SecretRef != nil {
				out = append(out, secretUse{name: f.SecretRef.Name, where: fmt.Sprintf("%s %s with envFrom referencing secret.secretName=%q", kinds[path], c.Name, f.SecretRef.Name)})
			}
		}
		for _, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
				out = append(out, secretUse{name: e.ValueFrom.SecretKeyRef.Name, where: fmt.Sprintf("%s %s with envVar %s referencing secret.secretName=%q", kinds[path], c.Name, e.Name, e.ValueFrom.SecretKeyRef.Name)})
			}
		}
	})
	return out
}

// volumeSecrets are the Secrets that a volume of a pod names.
func volumeSecrets(v *corev1.Volume) []string {
	local := func(r *corev1.LocalObjectReference) []string {
		if r == nil || r.Name == "" {
			return nil
		}
		return []string{r.Name}
	}
	switch {
	case v.Secret != nil:
		return []string{v.Secret.SecretName}
	case v.Projected != nil:
		var out []string
		for _, s := range v.Projected.Sources {
			if s.Secret != nil {
				out = append(out, s.Secret.Name)
			}
		}
		return out
	case v.AzureFile != nil:
		return []string{v.AzureFile.SecretName}
	case v.CSI != nil:
		return local(v.CSI.NodePublishSecretRef)
	case v.ISCSI != nil:
		return local(v.ISCSI.SecretRef)
	case v.RBD != nil:
		return local(v.RBD.SecretRef)
	case v.CephFS != nil:
		return local(v.CephFS.SecretRef)
	case v.Cinder != nil:
		return local(v.Cinder.SecretRef)
	case v.FlexVolume != nil:
		return local(v.FlexVolume.SecretRef)
	case v.ScaleIO != nil:
		return local(v.ScaleIO.SecretRef)
	case v.StorageOS != nil:
		return local(v.StorageOS.SecretRef)
	}
	return nil
}

// mountFault names the first Secret that the pod uses and its service account does not list. all is false for new
// ephemeral containers, where only containers can have changed.
func mountFault(account *corev1.ServiceAccount, pod *corev1.Pod, all bool) error {
	mountable, pull := map[string]bool{}, map[string]bool{}
	for _, s := range account.Secrets {
		mountable[s.Name] = true
	}
	for _, s := range account.ImagePullSecrets {
		pull[s.Name] = true
	}
	uses := containerSecrets(pod)
	if all {
		uses = secretsOf(pod)
	}
	for _, u := range uses {
		known, what := mountable, "that secret"
		if u.pull {
			known, what = pull, "that imagePullSecret"
		}
		if !known[u.name] {
			return fmt.Errorf("%s is not allowed because service account %s does not reference %s", u.where, account.Name, what)
		}
	}
	return nil
}
