package act

import (
	"fmt"
	"path/filepath"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kubelet/images"
)

// What a container must not see or change of the kernel unless procMount is Unmasked (the runtime specification's
// default lists).
var (
	maskedPaths   = []string{"/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"}
	readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// security gives a container's security settings: its own, and the pod's where it has none.
func (a *Actor) security(pod *v1.Pod, c *v1.Container, image images.Image, target *string, users *runtimeapi.UserNamespace) *runtimeapi.LinuxContainerSecurityContext {
	own := ptr.Deref(c.SecurityContext, v1.SecurityContext{})
	shared := ptr.Deref(pod.Spec.SecurityContext, v1.PodSecurityContext{})
	out := &runtimeapi.LinuxContainerSecurityContext{
		Privileged:         ptr.Deref(own.Privileged, false),
		ReadonlyRootfs:     ptr.Deref(own.ReadOnlyRootFilesystem, false),
		NoNewPrivs:         own.AllowPrivilegeEscalation != nil && !*own.AllowPrivilegeEscalation,
		NamespaceOptions:   namespaces(pod, target, users),
		Seccomp:            a.seccomp(pod, c),
		Apparmor:           apparmor(pod, c),
		SupplementalGroups: groups(&shared),
		SelinuxOptions:     selinux(firstSet(own.SELinuxOptions, shared.SELinuxOptions)),
	}
	runAs(out, firstSet(own.RunAsUser, shared.RunAsUser, image.UID), image.User)
	if group := firstSet(own.RunAsGroup, shared.RunAsGroup); group != nil {
		out.RunAsGroup = &runtimeapi.Int64Value{Value: *group}
	}
	if ptr.Deref(shared.SupplementalGroupsPolicy, v1.SupplementalGroupsPolicyMerge) == v1.SupplementalGroupsPolicyStrict {
		out.SupplementalGroupsPolicy = runtimeapi.SupplementalGroupsPolicy_Strict
	}
	if caps := own.Capabilities; caps != nil {
		out.Capabilities = &runtimeapi.Capability{}
		for _, add := range caps.Add {
			out.Capabilities.AddCapabilities = append(out.Capabilities.AddCapabilities, string(add))
		}
		for _, drop := range caps.Drop {
			out.Capabilities.DropCapabilities = append(out.Capabilities.DropCapabilities, string(drop))
		}
	}
	if ptr.Deref(own.ProcMount, v1.DefaultProcMount) == v1.DefaultProcMount {
		out.MaskedPaths, out.ReadonlyPaths = maskedPaths, readonlyPaths
	}
	return out
}

// runAs names the user: a number, or that of the image by its name. An image without either is root's. The runtime takes no group
// without a user.
func runAs(out *runtimeapi.LinuxContainerSecurityContext, number *int64, name string) {
	switch {
	case number != nil:
		out.RunAsUser = &runtimeapi.Int64Value{Value: *number}
	case name != "":
		out.RunAsUsername = name
	default:
		out.RunAsUser = &runtimeapi.Int64Value{Value: 0}
	}
}

func firstSet[T any](list ...*T) *T {
	for _, p := range list {
		if p != nil {
			return p
		}
	}
	return nil
}

func groups(sc *v1.PodSecurityContext) []int64 {
	var out []int64
	if sc.FSGroup != nil {
		out = append(out, *sc.FSGroup)
	}
	return append(out, sc.SupplementalGroups...)
}

func selinux(o *v1.SELinuxOptions) *runtimeapi.SELinuxOption {
	if o == nil {
		return nil
	}
	return &runtimeapi.SELinuxOption{User: o.User, Role: o.Role, Type: o.Type, Level: o.Level}
}

// seccomp is the container's profile, or the pod's. An unset Localhost profile name never means "unconfined"
// (CVE-2023-2431): validation refuses it, and so does the runtime with the path it gets here.
func (a *Actor) seccomp(pod *v1.Pod, c *v1.Container) *runtimeapi.SecurityProfile {
	var profile *v1.SeccompProfile
	if pod.Spec.SecurityContext != nil {
		profile = pod.Spec.SecurityContext.SeccompProfile
	}
	if c != nil && c.SecurityContext != nil && c.SecurityContext.SeccompProfile != nil {
		profile = c.SecurityContext.SeccompProfile
	}
	switch {
	case profile == nil && a.SeccompDefault, profile != nil && profile.Type == v1.SeccompProfileTypeRuntimeDefault:
		return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault}
	case profile != nil && profile.Type == v1.SeccompProfileTypeLocalhost:
		name := "missing-localhostProfile"
		if p := ptr.Deref(profile.LocalhostProfile, ""); p != "" {
			name = p
		}
		return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Localhost, LocalhostRef: filepath.Join(a.SeccompRoot, name)}
	}
	return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Unconfined}
}

// apparmor is the container's profile, or the pod's (KEP-24); nil: what the runtime does by itself.
func apparmor(pod *v1.Pod, c *v1.Container) *runtimeapi.SecurityProfile {
	var profile *v1.AppArmorProfile
	if pod.Spec.SecurityContext != nil {
		profile = pod.Spec.SecurityContext.AppArmorProfile
	}
	if c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil {
		profile = c.SecurityContext.AppArmorProfile
	}
	switch {
	case profile == nil:
		return nil
	case profile.Type == v1.AppArmorProfileTypeRuntimeDefault:
		return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault}
	case profile.Type == v1.AppArmorProfileTypeLocalhost:
		return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Localhost, LocalhostRef: ptr.Deref(profile.LocalhostProfile, "")}
	}
	return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Unconfined}
}

// verifyNonRoot refuses to run a container as root that must not be: by its settings or its image's user, which has to
// be a number to be sure.
func verifyNonRoot(pod *v1.Pod, c *v1.Container, imageUID *int64, imageUser string) error {
	own := ptr.Deref(c.SecurityContext, v1.SecurityContext{})
	shared := ptr.Deref(pod.Spec.SecurityContext, v1.PodSecurityContext{})
	must := firstSet(own.RunAsNonRoot, shared.RunAsNonRoot)
	if must == nil || !*must {
		return nil
	}
	user := firstSet(own.RunAsUser, shared.RunAsUser)
	switch {
	case user != nil && *user == 0:
		return fmt.Errorf("container's runAsUser breaks non-root policy (pod: %q, container: %s)", pod.Namespace+"/"+pod.Name, c.Name)
	case user != nil:
		return nil
	case imageUID != nil && *imageUID == 0, imageUID == nil && imageUser == "": // an image that names nobody runs as root
		return fmt.Errorf("container has runAsNonRoot and image will run as root (pod: %q, container: %s)", pod.Namespace+"/"+pod.Name, c.Name)
	case imageUID == nil && imageUser != "":
		return fmt.Errorf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root (pod: %q, container: %s)", imageUser, pod.Namespace+"/"+pod.Name, c.Name)
	}
	return nil
}
