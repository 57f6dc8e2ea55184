package config

import (
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	bootstraputil "k8s.io/cluster-bootstrap/token/util"
)

// ValidateInit returns every fault of a defaulted InitConfiguration.
func ValidateInit(c *InitConfiguration) (faults field.ErrorList) {
	faults = append(faults, validateNode(&c.NodeRegistration, field.NewPath("nodeRegistration"))...)
	faults = append(faults, validateEndpoint(&c.LocalAPIEndpoint, field.NewPath("localAPIEndpoint"))...)
	for i := range c.BootstrapTokens {
		faults = append(faults, validateToken(&c.BootstrapTokens[i], field.NewPath("bootstrapTokens").Index(i))...)
	}
	faults = append(faults, validateCertificateKey(c.CertificateKey, field.NewPath("certificateKey"))...)
	faults = append(faults, validatePatches(c.Patches, field.NewPath("patches"))...)
	return append(faults, validateTimeouts(c.Timeouts, field.NewPath("timeouts"))...)
}

// ValidateTokens returns every fault of bootstrap tokens on their own, as `kubeadm token create` takes them.
func ValidateTokens(tokens []BootstrapToken) (faults field.ErrorList) {
	for i := range tokens {
		faults = append(faults, validateToken(&tokens[i], field.NewPath("bootstrapTokens").Index(i))...)
	}
	return faults
}

// ValidateJoin returns every fault of a defaulted JoinConfiguration.
func ValidateJoin(c *JoinConfiguration) (faults field.ErrorList) {
	faults = append(faults, validateDiscovery(&c.Discovery, field.NewPath("discovery"))...)
	faults = append(faults, validateNode(&c.NodeRegistration, field.NewPath("nodeRegistration"))...)
	if !filepath.IsAbs(c.CACertPath) || filepath.Ext(c.CACertPath) != ".crt" {
		faults = append(faults, field.Invalid(field.NewPath("caCertPath"), c.CACertPath, "must be an absolute path of a .crt file"))
	}
	if c.ControlPlane != nil {
		path := field.NewPath("controlPlane")
		faults = append(faults, validateEndpoint(&c.ControlPlane.LocalAPIEndpoint, path.Child("localAPIEndpoint"))...)
		faults = append(faults, validateCertificateKey(c.ControlPlane.CertificateKey, path.Child("certificateKey"))...)
	}
	faults = append(faults, validatePatches(c.Patches, field.NewPath("patches"))...)
	return append(faults, validateTimeouts(c.Timeouts, field.NewPath("timeouts"))...)
}

func validateDiscovery(d *Discovery, path *field.Path) (faults field.ErrorList) {
	switch {
	case d.BootstrapToken == nil && d.File == nil:
		return field.ErrorList{field.Required(path, "set bootstrapToken (--token, --discovery-token) or file (--discovery-file)")}
	case d.BootstrapToken != nil && d.File != nil:
		return field.ErrorList{field.Invalid(path, "bootstrapToken, file", "are mutually exclusive: keep one of them")}
	}
	if t := d.BootstrapToken; t != nil {
		p := path.Child("bootstrapToken")
		if !bootstraputil.IsValidBootstrapToken(t.Token) {
			faults = append(faults, field.Invalid(p.Child("token"), "<hidden>", "must be a bootstrap token: print a join command with `kubeadm token create --print-join-command`"))
		}
		if host, port, err := SplitEndpoint(t.APIServerEndpoint); err != nil || host == "" || port == "" {
			faults = append(faults, field.Invalid(p.Child("apiServerEndpoint"), t.APIServerEndpoint, "must be host:port of the control plane"))
		}
		if len(t.CACertHashes) == 0 && !t.UnsafeSkipCAVerification {
			faults = append(faults, field.Required(p.Child("caCertHashes"), "pin the cluster's authority (--discovery-token-ca-cert-hash), or set unsafeSkipCAVerification (--discovery-token-unsafe-skip-ca-verification)"))
		}
		pin := regexp.MustCompile(`^sha256:[0-9a-fA-F]{64}$`)
		for i, hash := range t.CACertHashes {
			if !pin.MatchString(hash) {
				faults = append(faults, field.Invalid(p.Child("caCertHashes").Index(i), hash, "must be sha256: and 64 hexadecimal digits"))
			}
		}
	}
	if f := d.File; f != nil {
		p := path.Child("file", "kubeConfigPath")
		if strings.Contains(f.KubeConfigPath, "://") {
			if u, err := url.Parse(f.KubeConfigPath); err != nil || u.Scheme != "https" {
				faults = append(faults, field.Invalid(p, f.KubeConfigPath, "a URL must use https"))
			}
		} else if !filepath.IsAbs(f.KubeConfigPath) {
			faults = append(faults, field.Invalid(p, f.KubeConfigPath, "must be an absolute path or an https URL"))
		}
	}
	if d.TLSBootstrapToken != "" && !bootstraputil.IsValidBootstrapToken(d.TLSBootstrapToken) {
		faults = append(faults, field.Invalid(path.Child("tlsBootstrapToken"), "<hidden>", "must be a bootstrap token"))
	}
	return faults
}

// ValidateReset returns every fault of a defaulted ResetConfiguration.
func ValidateReset(c *ResetConfiguration) (faults field.ErrorList) {
	if !filepath.IsAbs(c.CertificatesDir) {
		faults = append(faults, field.Invalid(field.NewPath("certificatesDir"), c.CertificatesDir, "must be an absolute path"))
	}
	faults = append(faults, validateSocket(c.CRISocket, field.NewPath("criSocket"))...)
	faults = append(faults, validateIgnored(c.IgnorePreflightErrors, field.NewPath("ignorePreflightErrors"))...)
	for i, flag := range c.UnmountFlags {
		switch flag {
		case "MNT_FORCE", "MNT_DETACH", "MNT_EXPIRE", "UMOUNT_NOFOLLOW":
		default:
			faults = append(faults, field.NotSupported(field.NewPath("unmountFlags").Index(i), flag, []string{"MNT_FORCE", "MNT_DETACH", "MNT_EXPIRE", "UMOUNT_NOFOLLOW"}))
		}
	}
	return append(faults, validateTimeouts(c.Timeouts, field.NewPath("timeouts"))...)
}

// ValidateUpgrade returns every fault of a defaulted UpgradeConfiguration.
func ValidateUpgrade(c *UpgradeConfiguration) (faults field.ErrorList) {
	for name, version := range map[string]string{"apply": c.Apply.KubernetesVersion, "plan": c.Plan.KubernetesVersion, "diff": c.Diff.KubernetesVersion} {
		if version == "" {
			continue
		}
		if _, err := ResolveVersion(version); err != nil {
			faults = append(faults, field.Invalid(field.NewPath(name, "kubernetesVersion"), version, err.Error()))
		}
	}
	faults = append(faults, validatePullPolicy(c.Apply.ImagePullPolicy, field.NewPath("apply", "imagePullPolicy"))...)
	faults = append(faults, validatePullPolicy(c.Node.ImagePullPolicy, field.NewPath("node", "imagePullPolicy"))...)
	faults = append(faults, validatePatches(c.Apply.Patches, field.NewPath("apply", "patches"))...)
	faults = append(faults, validatePatches(c.Node.Patches, field.NewPath("node", "patches"))...)
	if c.Diff.DiffContextLines < 0 {
		faults = append(faults, field.Invalid(field.NewPath("diff", "contextLines"), c.Diff.DiffContextLines, "must not be negative"))
	}
	return append(faults, validateTimeouts(c.Timeouts, field.NewPath("timeouts"))...)
}
