package config

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	bootstraputil "k8s.io/cluster-bootstrap/token/util"
	netutils "k8s.io/utils/net"
)

func validateNode(n *NodeRegistration, path *field.Path) (faults field.ErrorList) {
	if n.Name == "" {
		faults = append(faults, field.Required(path.Child("name"), "set it, or --node-name, when this machine has no host name"))
	}
	for _, fault := range validation.IsDNS1123Subdomain(n.Name) {
		if n.Name != "" {
			faults = append(faults, field.Invalid(path.Child("name"), n.Name, fault))
		}
	}
	faults = append(faults, validateSocket(n.CRISocket, path.Child("criSocket"))...)
	for i, taint := range n.Taints {
		p := path.Child("taints").Index(i)
		for _, fault := range validation.IsQualifiedName(taint.Key) {
			faults = append(faults, field.Invalid(p.Child("key"), taint.Key, fault))
		}
		for _, fault := range validation.IsValidLabelValue(taint.Value) {
			faults = append(faults, field.Invalid(p.Child("value"), taint.Value, fault))
		}
		switch taint.Effect {
		case corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute:
		default:
			faults = append(faults, field.NotSupported(p.Child("effect"), taint.Effect, []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}))
		}
	}
	faults = append(faults, validateArgs(n.KubeletExtraArgs, path.Child("kubeletExtraArgs"))...)
	faults = append(faults, validateIgnored(n.IgnorePreflightErrors, path.Child("ignorePreflightErrors"))...)
	return append(faults, validatePullPolicy(n.ImagePullPolicy, path.Child("imagePullPolicy"))...)
}

func validatePullPolicy(policy corev1.PullPolicy, path *field.Path) field.ErrorList {
	switch policy {
	case "", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever:
		return nil
	}
	return field.ErrorList{field.NotSupported(path, policy, []corev1.PullPolicy{corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever})}
}

func validateSocket(socket string, path *field.Path) field.ErrorList {
	file, ok := strings.CutPrefix(socket, "unix://")
	if socket == "" || ok && filepath.IsAbs(file) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, socket, "must be unix:// and an absolute path, for example unix:///run/containerd/containerd.sock")}
}

func validateIgnored(names []string, path *field.Path) (faults field.ErrorList) {
	for i, name := range names {
		if strings.EqualFold(name, "all") && len(names) > 1 {
			faults = append(faults, field.Invalid(path.Index(i), name, "\"all\" must stand alone"))
		}
	}
	return faults
}

func validateArgs(args []Arg, path *field.Path) (faults field.ErrorList) {
	for i, arg := range args {
		switch {
		case arg.Name == "":
			faults = append(faults, field.Required(path.Index(i).Child("name"), "name the flag"))
		case strings.HasPrefix(arg.Name, "-"):
			faults = append(faults, field.Invalid(path.Index(i).Child("name"), arg.Name, "must be written without leading dashes"))
		}
	}
	return faults
}

func validateEndpoint(e *APIEndpoint, path *field.Path) (faults field.ErrorList) {
	if ip := netutils.ParseIPSloppy(e.AdvertiseAddress); ip == nil || ip.IsUnspecified() || ip.IsMulticast() {
		faults = append(faults, field.Invalid(path.Child("advertiseAddress"), e.AdvertiseAddress, "must be an IP address other nodes reach this one by"))
	}
	for _, fault := range validation.IsValidPortNum(int(e.BindPort)) {
		faults = append(faults, field.Invalid(path.Child("bindPort"), e.BindPort, fault))
	}
	return faults
}

func validateCertificateKey(key string, path *field.Path) field.ErrorList {
	if key == "" {
		return nil
	}
	if raw, err := hex.DecodeString(key); err != nil || len(raw) != 32 {
		// The key is a secret: the message must not repeat it.
		return field.ErrorList{field.Invalid(path, "<hidden>", "must be 64 hexadecimal digits: make one with `kubeadm certs certificate-key`")}
	}
	return nil
}

func validatePatches(p *Patches, path *field.Path) field.ErrorList {
	if p == nil || p.Directory == "" {
		return nil
	}
	dir := path.Child("directory")
	if !filepath.IsAbs(p.Directory) {
		return field.ErrorList{field.Invalid(dir, p.Directory, "must be an absolute path")}
	}
	if info, err := os.Stat(p.Directory); err != nil || !info.IsDir() {
		return field.ErrorList{field.Invalid(dir, p.Directory, "is no readable folder")}
	}
	return nil
}

func validateTimeouts(t *Timeouts, path *field.Path) (faults field.ErrorList) {
	if t == nil {
		return nil
	}
	for name, d := range map[string]*metav1.Duration{
		"controlPlaneComponentHealthCheck": t.ControlPlaneComponentHealthCheck, "kubeletHealthCheck": t.KubeletHealthCheck,
		"kubernetesAPICall": t.KubernetesAPICall, "etcdAPICall": t.EtcdAPICall, "tlsBootstrap": t.TLSBootstrap,
		"discovery": t.Discovery, "upgradeManifests": t.UpgradeManifests,
	} {
		if d != nil && d.Duration <= 0 {
			faults = append(faults, field.Invalid(path.Child(name), d.Duration.String(), "must be greater than zero"))
		}
	}
	return faults
}

func validateToken(t *BootstrapToken, path *field.Path) (faults field.ErrorList) {
	if !bootstraputil.IsValidBootstrapToken(t.Token) {
		faults = append(faults, field.Invalid(path.Child("token"), "<hidden>", "must be six characters, a dot and sixteen characters of a-z and 0-9: make one with `kubeadm token generate`"))
	}
	if t.TTL != nil && t.Expires != nil {
		faults = append(faults, field.Invalid(path.Child("ttl"), t.TTL.Duration.String(), "is mutually exclusive with expires: keep one of them"))
	}
	if t.TTL != nil && t.TTL.Duration < 0 {
		faults = append(faults, field.Invalid(path.Child("ttl"), t.TTL.Duration.String(), "must not be negative: 0 means the token never expires"))
	}
	if err := bootstraputil.ValidateUsages(t.Usages); err != nil {
		faults = append(faults, field.Invalid(path.Child("usages"), t.Usages, err.Error()))
	}
	signs := false
	for _, usage := range t.Usages {
		signs = signs || usage == "authentication"
	}
	if !signs && len(t.Groups) > 0 {
		faults = append(faults, field.Invalid(path.Child("groups"), t.Groups, "need the usage \"authentication\""))
	}
	for i, group := range t.Groups {
		if err := bootstraputil.ValidateBootstrapGroupName(group); err != nil {
			faults = append(faults, field.Invalid(path.Child("groups").Index(i), group, err.Error()))
		}
	}
	return faults
}
