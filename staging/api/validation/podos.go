package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podOS checks that a pod that names its operating system asks for nothing that the system lacks (KEP-2802).
func podOS(f *faults, s *corev1.PodSpec, p *field.Path) {
	if s.OS == nil {
		return
	}
	switch s.OS.Name {
	case "":
		f.required(p.Child("os"), "name", "cannot be empty")
	case corev1.Linux:
		linuxPod(f, s, p)
	case corev1.Windows:
		windowsPod(f, s, p)
	default:
		oneOf(f, p.Child("os"), "name", s.OS.Name, corev1.Linux, corev1.Windows)
	}
}

func linuxPod(f *faults, s *corev1.PodSpec, p *field.Path) {
	const text = "windows options cannot be set for a linux pod"
	if s.SecurityContext != nil && s.SecurityContext.WindowsOptions != nil {
		f.forbidden(p.Child("securityContext"), "windowsOptions", text)
	}
	eachContainer(s, p, func(c *corev1.Container, at *field.Path) {
		if c.SecurityContext != nil && c.SecurityContext.WindowsOptions != nil {
			f.forbidden(at.Child("securityContext"), "windowsOptions", text)
		}
	})
}

func windowsPod(f *faults, s *corev1.PodSpec, p *field.Path) {
	refuse := func(set bool, at *field.Path, name string) {
		if set {
			f.forbidden(at, name, "cannot be set for a windows pod")
		}
	}
	refuse(s.HostPID, p, "hostPID")
	refuse(s.HostIPC, p, "hostIPC")
	refuse(s.HostUsers != nil, p, "hostUsers")
	refuse(s.ShareProcessNamespace != nil, p, "shareProcessNamespace")
	if sc := s.SecurityContext; sc != nil {
		at := p.Child("securityContext")
		refuse(sc.AppArmorProfile != nil, at, "appArmorProfile")
		refuse(sc.SELinuxOptions != nil, at, "seLinuxOptions")
		refuse(sc.SELinuxChangePolicy != nil, at, "seLinuxChangePolicy")
		refuse(sc.SeccompProfile != nil, at, "seccompProfile")
		refuse(sc.FSGroup != nil, at, "fsGroup")
		refuse(sc.FSGroupChangePolicy != nil, at, "fsGroupChangePolicy")
		refuse(len(sc.Sysctls) > 0, at, "sysctls")
		refuse(sc.RunAsUser != nil, at, "runAsUser")
		refuse(sc.RunAsGroup != nil, at, "runAsGroup")
		refuse(sc.SupplementalGroups != nil, at, "supplementalGroups")
		refuse(sc.SupplementalGroupsPolicy != nil, at, "supplementalGroupsPolicy")
	}
	eachContainer(s, p, func(c *corev1.Container, at *field.Path) {
		sc := c.SecurityContext
		if sc == nil {
			return
		}
		at = at.Child("securityContext")
		refuse(sc.AppArmorProfile != nil, at, "appArmorProfile")
		refuse(sc.SELinuxOptions != nil, at, "seLinuxOptions")
		refuse(sc.SeccompProfile != nil, at, "seccompProfile")
		refuse(sc.Capabilities != nil, at, "capabilities")
		refuse(sc.ReadOnlyRootFilesystem != nil, at, "readOnlyRootFilesystem")
		refuse(sc.Privileged != nil, at, "privileged")
		refuse(sc.AllowPrivilegeEscalation != nil, at, "allowPrivilegeEscalation")
		refuse(sc.ProcMount != nil, at, "procMount")
		refuse(sc.RunAsUser != nil, at, "runAsUser")
		refuse(sc.RunAsGroup != nil, at, "runAsGroup")
	})
}

// eachContainer visits the containers of all three lists.
func eachContainer(s *corev1.PodSpec, p *field.Path, visit func(c *corev1.Container, at *field.Path)) {
	for i := range s.InitContainers {
		visit(&s.InitContainers[i], p.Child("initContainers").Index(i))
	}
	for i := range s.Containers {
		visit(&s.Containers[i], p.Child("containers").Index(i))
	}
	for i := range s.EphemeralContainers {
		visit((*corev1.Container)(&s.EphemeralContainers[i].EphemeralContainerCommon), p.Child("ephemeralContainers").Index(i))
	}
}
