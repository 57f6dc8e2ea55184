// Package config is the kubelet's configuration: KubeletConfiguration (kubelet.config.k8s.io/v1beta1) and the flags
// beside it, with defaults and validation.
package config

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	v1 "k8s.io/api/core/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	cliflag "k8s.io/component-base/cli/flag"
	logsapi "k8s.io/component-base/logs/api/v1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"
)

// Options are the command line and the configuration that it and the file make together.
type Options struct {
	File, DropInDir     string
	Kubeconfig          string
	BootstrapKubeconfig string
	CertDirectory       string
	RootDirectory       string
	HostnameOverride    string
	NodeIP              string
	NodeLabels          map[string]string
	RegisterTaints      []string
	CloudProvider       string
	SandboxImage        string

	Config kubeletconfig.KubeletConfiguration
	flags  *cliflag.NamedFlagSets
	// overrides are the deprecated flags that stand for fields of the file.
	overrides kubeletconfig.KubeletConfiguration
}

// NewOptions has upstream's defaults.
func NewOptions() *Options {
	o := &Options{CertDirectory: "/var/lib/kubelet/pki", RootDirectory: "/var/lib/kubelet"}
	logsapi.SetRecommendedLoggingConfiguration(&o.Config.Logging)
	return o
}

// Flags are the sections of --help.
func (o *Options) Flags() *cliflag.NamedFlagSets {
	o.flags = &cliflag.NamedFlagSets{}
	fs := o.flags.FlagSet("kubelet")
	fs.StringVar(&o.File, "config", "", "Path of a KubeletConfiguration file (kubelet.config.k8s.io/v1beta1). Flags override it.")
	fs.StringVar(&o.DropInDir, "config-dir", "", "Folder of files ending in .conf, merged over --config in the order of their names.")
	fs.StringVar(&o.Kubeconfig, "kubeconfig", "", "Kubeconfig file for the API server. Without it the kubelet runs static pods alone.")
	fs.StringVar(&o.BootstrapKubeconfig, "bootstrap-kubeconfig", "", "Kubeconfig file to ask for a client certificate with, when --kubeconfig does not exist; the result is written there.")
	fs.StringVar(&o.CertDirectory, "cert-dir", o.CertDirectory, "Folder of the kubelet's certificates.")
	fs.StringVar(&o.RootDirectory, "root-dir", o.RootDirectory, "Folder of pods' volumes and the kubelet's state.")
	fs.StringVar(&o.HostnameOverride, "hostname-override", "", "Name of this node. Default: the host's name.")
	fs.StringVar(&o.NodeIP, "node-ip", "", "Address of this node, or two of different families, comma separated. Default: that of the default route.")
	fs.Var(cliflag.NewMapStringString(&o.NodeLabels), "node-labels", "Labels to register the node with, as key=value pairs.")
	fs.StringSliceVar(&o.RegisterTaints, "register-with-taints", nil, "Taints to register the node with, as key=value:effect.")
	fs.StringVar(&o.CloudProvider, "cloud-provider", "", "\"external\" registers the node with the taint that a cloud controller manager removes.")
	fs.StringVar(&o.SandboxImage, "pod-infra-container-image", "", "Image that garbage collection keeps besides the one the runtime pins.")

	fs = o.flags.FlagSet("overrides of --config")
	c := &o.overrides
	fs.StringVar(&c.ContainerRuntimeEndpoint, "container-runtime-endpoint", "", "Socket of the container runtime, as unix:///path.")
	fs.StringVar(&c.StaticPodPath, "pod-manifest-path", "", "Folder or file of static pod manifests.")
	fs.StringVar(&c.StaticPodURL, "manifest-url", "", "URL of a static pod manifest.")
	fs.StringVar(&c.Address, "address", "", "Address of the kubelet's API.")
	fs.Int32Var(&c.Port, "port", 0, "Port of the kubelet's API.")
	fs.StringVar(&c.CgroupDriver, "cgroup-driver", "", "cgroupfs or systemd, where the runtime does not say.")
	fs.StringVar(&c.ClusterDomain, "cluster-domain", "", "Domain of the cluster's DNS names.")
	fs.StringSliceVar(&c.ClusterDNS, "cluster-dns", nil, "Addresses of the cluster's DNS servers.")
	fs.Int32Var(&c.MaxPods, "max-pods", 0, "Number of pods that this node runs.")
	fs.StringVar(&c.TLSCertFile, "tls-cert-file", "", "Certificate of the kubelet's API.")
	fs.StringVar(&c.TLSPrivateKeyFile, "tls-private-key-file", "", "Key of --tls-cert-file.")
	fs.StringVar(&c.Authentication.X509.ClientCAFile, "client-ca-file", "", "CA that client certificates of the kubelet's API are checked with.")
	return o.flags
}

// Complete reads the files, applies defaults and flags, and validates.
func (o *Options) Complete() error {
	if o.File != "" {
		if err := o.read(o.File); err != nil {
			return fmt.Errorf("--config %s: %w", o.File, err)
		}
	}
	if o.DropInDir != "" {
		if err := o.readDropIns(); err != nil {
			return fmt.Errorf("--config-dir %s: %w", o.DropInDir, err)
		}
	}
	o.override()
	setDefaults(&o.Config)
	if o.HostnameOverride == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("--hostname-override is missing and the host's name is unknown: %w", err)
		}
		o.HostnameOverride = name
	}
	o.HostnameOverride = strings.ToLower(strings.TrimSpace(o.HostnameOverride))
	for _, t := range o.RegisterTaints {
		taint, err := parseTaint(t)
		if err != nil {
			return fmt.Errorf("--register-with-taints: %w", err)
		}
		o.Config.RegisterWithTaints = append(o.Config.RegisterWithTaints, taint)
	}
	var errs []error
	for _, e := range validate(&o.Config) {
		errs = append(errs, e)
	}
	if o.BootstrapKubeconfig != "" && o.Kubeconfig == "" {
		errs = append(errs, fmt.Errorf("--kubeconfig is missing: --bootstrap-kubeconfig writes it"))
	}
	return utilerrors.NewAggregate(errs)
}

func (o *Options) read(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := yaml.UnmarshalStrict(data, &o.Config); err != nil {
		return err
	}
	if o.Config.APIVersion != kubeletconfig.SchemeGroupVersion.String() || o.Config.Kind != "KubeletConfiguration" {
		return fmt.Errorf("it holds %q of %q: expected kind KubeletConfiguration of apiVersion %s", o.Config.Kind, o.Config.APIVersion, kubeletconfig.SchemeGroupVersion)
	}
	return nil
}

func (o *Options) readDropIns() error {
	files, err := filepath.Glob(filepath.Join(o.DropInDir, "*.conf"))
	if err != nil {
		return err
	}
	sort.Strings(files)
	for _, f := range files {
		if err := o.read(f); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(f), err)
		}
	}
	return nil
}

// override lets the flags that stand for fields win.
func (o *Options) override() {
	from, to := &o.overrides, &o.Config
	for _, s := range []struct{ from, to *string }{
		{&from.ContainerRuntimeEndpoint, &to.ContainerRuntimeEndpoint}, {&from.StaticPodPath, &to.StaticPodPath},
		{&from.StaticPodURL, &to.StaticPodURL}, {&from.Address, &to.Address}, {&from.CgroupDriver, &to.CgroupDriver},
		{&from.ClusterDomain, &to.ClusterDomain}, {&from.TLSCertFile, &to.TLSCertFile}, {&from.TLSPrivateKeyFile, &to.TLSPrivateKeyFile},
		{&from.Authentication.X509.ClientCAFile, &to.Authentication.X509.ClientCAFile},
	} {
		if *s.from != "" {
			*s.to = *s.from
		}
	}
	if from.Port != 0 {
		to.Port = from.Port
	}
	if from.MaxPods != 0 {
		to.MaxPods = from.MaxPods
	}
	if len(from.ClusterDNS) > 0 {
		to.ClusterDNS = from.ClusterDNS
	}
}

// parseTaint reads key[=value]:effect.
func parseTaint(s string) (v1.Taint, error) {
	left, effect, ok := strings.Cut(s, ":")
	key, value, _ := strings.Cut(left, "=")
	if !ok || key == "" {
		return v1.Taint{}, fmt.Errorf("%q is no taint: expected key=value:effect", s)
	}
	switch e := v1.TaintEffect(effect); e {
	case v1.TaintEffectNoSchedule, v1.TaintEffectPreferNoSchedule, v1.TaintEffectNoExecute:
		return v1.Taint{Key: key, Value: value, Effect: e}, nil
	}
	return v1.Taint{}, fmt.Errorf("%q: Unsupported value: %q: supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"", s, effect)
}
