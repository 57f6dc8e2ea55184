package selinuxwarning

import (
	"cmp"
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// Properties in which two pods with the same volume can differ.
const (
	propertyLabel  = "SELinuxLabel"
	propertyPolicy = "SELinuxChangePolicy"
)

// use is how one pod uses a volume.
type use struct {
	pod    *v1.Pod
	label  string // that a mount option would give the volume; empty when it is relabelled file by file
	policy v1.PodSELinuxChangePolicy
}

// conflict is what one pod is told about another.
type conflict struct {
	property     string
	pod, other   *v1.Pod
	value, wants string
}

func (c conflict) message() string {
	return fmt.Sprintf("%s %q conflicts with pod %s that uses the same volume as this pod with %s %q. If both pods land on the same node, only one of them may access the volume.",
		c.property, c.value, c.other.Name, c.property, c.wants)
}

// useOf is how a pod uses the volume under a claim. mounts tells whether the volume's driver takes the label as a mount option; it
// relabels file by file otherwise.
func useOf(pod *v1.Pod, claim string, mounts bool, claimOf func(*v1.Pod, *v1.Volume) string) use {
	u := use{pod: pod, policy: v1.SELinuxChangePolicyMountOption}
	var options *v1.SELinuxOptions
	if c := pod.Spec.SecurityContext; c != nil {
		options, u.policy = c.SELinuxOptions, ptr.Deref(c.SELinuxChangePolicy, u.policy)
	}
	for i := range pod.Spec.Volumes {
		volume := &pod.Spec.Volumes[i]
		if claimOf(pod, volume) != claim {
			continue
		}
		for _, list := range [][]v1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
			for _, c := range list {
				mounted := slices.ContainsFunc(c.VolumeMounts, func(m v1.VolumeMount) bool { return m.Name == volume.Name })
				if mounted && c.SecurityContext != nil && c.SecurityContext.SELinuxOptions != nil {
					options = c.SecurityContext.SELinuxOptions
				}
			}
		}
	}
	if u.policy == v1.SELinuxChangePolicyMountOption && mounts && options != nil && options.Level != "" {
		u.label = fmt.Sprintf("%s:%s:%s:%s", cmp.Or(options.User, "system_u"), cmp.Or(options.Role, "object_r"), cmp.Or(options.Type, "container_file_t"), options.Level)
	}
	return u
}

// conflicts are those of all pairs, each told to both pods.
func conflicts(uses []use) []conflict {
	var out []conflict
	for i, a := range uses {
		for j, b := range uses {
			switch {
			case i == j:
			case a.policy != b.policy:
				out = append(out, conflict{propertyPolicy, a.pod, b.pod, string(a.policy), string(b.policy)})
			case a.label != b.label:
				out = append(out, conflict{propertyLabel, a.pod, b.pod, a.label, b.label})
			}
		}
	}
	return out
}
