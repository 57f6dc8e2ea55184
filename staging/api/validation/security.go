package validation

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func userID(f *faults, id *int64, p *field.Path, name string) {
	if id != nil {
		for _, msg := range validation.IsValidUserID(*id) {
			f.invalid(p, name, *id, msg)
		}
	}
}

func groupID(f *faults, id *int64, p *field.Path, name string) {
	if id != nil {
		for _, msg := range validation.IsValidGroupID(*id) {
			f.invalid(p, name, *id, msg)
		}
	}
}

// podSecurity checks the pod's security context and the namespaces it shares.
func podSecurity(f *faults, s *corev1.PodSpec, p *field.Path) {
	if s.ShareProcessNamespace != nil && *s.ShareProcessNamespace && s.HostPID {
		f.invalid(p, "shareProcessNamespace", *s.ShareProcessNamespace, "ShareProcessNamespace and HostPID cannot both be enabled")
	}
	if s.HostUsers != nil && !*s.HostUsers {
		const text = "when `hostUsers` is false"
		if s.HostNetwork {
			f.forbidden(p, "hostNetwork", text)
		}
		if s.HostPID {
			f.forbidden(p, "hostPID", text)
		}
		if s.HostIPC {
			f.forbidden(p, "hostIPC", text)
		}
	}
	sc := s.SecurityContext
	if sc == nil {
		return
	}
	p = p.Child("securityContext")
	userID(f, sc.RunAsUser, p, "runAsUser")
	groupID(f, sc.RunAsGroup, p, "runAsGroup")
	groupID(f, sc.FSGroup, p, "fsGroup")
	for i := range sc.SupplementalGroups {
		groupID(f, &sc.SupplementalGroups[i], p.Child("supplementalGroups").Index(i), "")
	}
	oneOfPtr(f, p, "supplementalGroupsPolicy", sc.SupplementalGroupsPolicy, corev1.SupplementalGroupsPolicyMerge, corev1.SupplementalGroupsPolicyStrict)
	oneOfPtr(f, p, "fsGroupChangePolicy", sc.FSGroupChangePolicy, corev1.FSGroupChangeAlways, corev1.FSGroupChangeOnRootMismatch)
	oneOfPtr(f, p, "seLinuxChangePolicy", sc.SELinuxChangePolicy, corev1.SELinuxChangePolicyMountOption, corev1.SELinuxChangePolicyRecursive)
	sysctls(f, s, p.Child("sysctls"))
	seccomp(f, sc.SeccompProfile, p)
	appArmor(f, sc.AppArmorProfile, p)
	windowsOptions(f, sc.WindowsOptions, p)
}

const (
	maxSysctl    = 253
	sysctlFormat = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?([\\./][a-z0-9]([-_a-z0-9]*[a-z0-9])?)*"
)

func sysctls(f *faults, s *corev1.PodSpec, p *field.Path) {
	var names seen[string]
	for i, ctl := range s.SecurityContext.Sysctls {
		at := p.Index(i)
		switch {
		case ctl.Name == "":
			f.required(at, "name", "")
		case !sysctlName(ctl.Name):
			f.invalid(at, "name", ctl.Name, "must have at most 253 characters and match regex ^("+sysctlFormat+")$")
		case names.again(strings.ReplaceAll(ctl.Name, "/", ".")):
			f.duplicate(at, "name", ctl.Name)
		}
		name := strings.ReplaceAll(ctl.Name, "/", ".")
		if s.HostNetwork && strings.HasPrefix(name, "net.") {
			f.invalid(at, "name", ctl.Name, "may not be specified when 'hostNetwork' is true")
		}
		if s.HostIPC && (strings.HasPrefix(name, "kernel.shm") || strings.HasPrefix(name, "kernel.msg") || strings.HasPrefix(name, "fs.mqueue.") || name == "kernel.sem") {
			f.invalid(at, "name", ctl.Name, "may not be specified when 'hostIPC' is true")
		}
	}
}

// sysctlName tells whether a name consists of parts of lower-case letters, digits, "-" and "_", joined by "." or "/".
func sysctlName(name string) bool {
	if len(name) > maxSysctl {
		return false
	}
	for segment := range strings.SplitSeq(strings.ReplaceAll(name, "/", "."), ".") {
		if segment == "" || !alphanumeric(segment[0]) || !alphanumeric(segment[len(segment)-1]) {
			return false
		}
		for i := range len(segment) {
			if c := segment[i]; !alphanumeric(c) && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

func alphanumeric(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

func seccomp(f *faults, s *corev1.SeccompProfile, p *field.Path) {
	if s == nil {
		return
	}
	p = p.Child("seccompProfile")
	switch s.Type {
	case corev1.SeccompProfileTypeLocalhost:
		if s.LocalhostProfile == nil || *s.LocalhostProfile == "" {
			f.required(p, "localhostProfile", "must be set when seccomp type is Localhost ")
		} else {
			descendingPath(f, *s.LocalhostProfile, p, "localhostProfile")
		}
		return
	case "":
		f.required(p, "type", "type is required when seccompProfile is set")
	default:
		oneOf(f, p, "type", s.Type, corev1.SeccompProfileTypeLocalhost, corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined)
	}
	if s.LocalhostProfile != nil {
		f.invalid(p, "localhostProfile", *s.LocalhostProfile, "can only be set when seccomp type is Localhost")
	}
}

const maxAppArmorProfile = 4095

func appArmor(f *faults, a *corev1.AppArmorProfile, p *field.Path) {
	if a == nil {
		return
	}
	p = p.Child("appArmorProfile")
	switch a.Type {
	case corev1.AppArmorProfileTypeLocalhost:
		if a.LocalhostProfile == nil {
			f.required(p, "localhostProfile", "must be set when AppArmor type is Localhost")
			return
		}
		profile := *a.LocalhostProfile
		trimmed := strings.TrimSpace(profile)
		switch {
		case trimmed == "":
			f.required(p, "localhostProfile", "must be set when AppArmor type is Localhost")
		case trimmed != profile:
			f.invalid(p, "localhostProfile", profile, "must not be padded with whitespace")
		case len(profile) > maxAppArmorProfile:
			f.tooLong(p, "localhostProfile", maxAppArmorProfile)
		}
		return
	case "":
		f.required(p, "type", "type is required when appArmorProfile is set")
	default:
		oneOf(f, p, "type", a.Type, corev1.AppArmorProfileTypeLocalhost, corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined)
	}
	if a.LocalhostProfile != nil {
		f.invalid(p, "localhostProfile", *a.LocalhostProfile, "can only be set when AppArmor type is Localhost")
	}
}

const (
	maxCredentialSpec = 64 * 1024
	maxWindowsDomain  = 255
	maxWindowsUser    = 104
)

func windowsOptions(f *faults, w *corev1.WindowsSecurityContextOptions, p *field.Path) {
	if w == nil {
		return
	}
	p = p.Child("windowsOptions")
	if w.GMSACredentialSpecName != nil {
		f.dnsSubdomain(p, "gmsaCredentialSpecName", *w.GMSACredentialSpecName)
	}
	if w.GMSACredentialSpec != nil {
		if l := len(*w.GMSACredentialSpec); l == 0 {
			f.invalid(p, "gmsaCredentialSpec", "", "gmsaCredentialSpec cannot be an empty string")
		} else if l > maxCredentialSpec {
			f.invalid(p, "gmsaCredentialSpec", *w.GMSACredentialSpec, "gmsaCredentialSpec size must be under 64 KiB")
		}
	}
	if w.RunAsUserName == nil {
		return
	}
	name := *w.RunAsUserName
	domain, user := "", name
	if before, after, ok := strings.Cut(name, `\`); ok {
		domain, user = before, after
	}
	switch {
	case name == "":
		f.invalid(p, "runAsUserName", name, "runAsUserName cannot be an empty string")
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		f.invalid(p, "runAsUserName", name, "runAsUserName cannot contain control characters")
	case strings.Count(name, `\`) > 1:
		f.invalid(p, "runAsUserName", name, `runAsUserName cannot contain more than one backslash`)
	case strings.HasPrefix(name, `\`):
		f.invalid(p, "runAsUserName", name, `runAsUserName's Domain doesn't match the NetBios nor the DNS format`)
	case len(domain) > maxWindowsDomain:
		f.invalid(p, "runAsUserName", name, "runAsUserName's Domain length must be under 256 characters")
	case user == "":
		f.invalid(p, "runAsUserName", name, "runAsUserName's User cannot be empty")
	case len(user) > maxWindowsUser:
		f.invalid(p, "runAsUserName", name, "runAsUserName's User length must not be longer than 104 characters")
	case strings.ContainsAny(user, `"/\:;|=,+*?<>@[]`):
		f.invalid(p, "runAsUserName", name, "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]")
	}
}

func containerSecurity(f *faults, sc *corev1.SecurityContext, c *podContext, p *field.Path) {
	userID(f, sc.RunAsUser, p, "runAsUser")
	groupID(f, sc.RunAsGroup, p, "runAsGroup")
	if sc.ProcMount != nil {
		oneOf(f, p, "procMount", *sc.ProcMount, corev1.DefaultProcMount, corev1.UnmaskedProcMount)
		if *sc.ProcMount == corev1.UnmaskedProcMount && c.hostUsers() {
			f.invalid(p, "procMount", *sc.ProcMount, "`hostUsers` must be false to use `Unmasked`")
		}
	}
	seccomp(f, sc.SeccompProfile, p)
	appArmor(f, sc.AppArmorProfile, p)
	windowsOptions(f, sc.WindowsOptions, p)
	if sc.AllowPrivilegeEscalation == nil || *sc.AllowPrivilegeEscalation {
		return
	}
	if sc.Privileged != nil && *sc.Privileged {
		f.invalid(p, "", sc, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
	}
	if sc.Capabilities != nil && slices.Contains(sc.Capabilities.Add, "CAP_SYS_ADMIN") {
		f.invalid(p, "", sc, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN")
	}
}
