// Package config is the kubelet's configuration: KubeletConfiguration (kubelet.config.k8s.io/v1beta1) and the flags
// beside it, with defaults and validation.
package config

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/featuregate"
	logsapi "k8s.io/component-base/logs/api/v1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	"k8s.io/utils/cpuset"
)

// Options are the command line and the configuration that it and the files make together.
type Options struct {
	File, DropInDir     string
	Kubeconfig          string
	BootstrapKubeconfig string
	CertDirectory       string
	RootDirectory       string
	// NodeName is the name of the Node: --hostname-override or the host's name, in small letters.
	NodeName         string
	HostnameOverride string
	NodeIP           string
	NodeLabels       map[string]string
	CloudProvider    string
	// Schedulable is --register-schedulable.
	Schedulable bool
	// MaxDeadContainers is how many ended containers of a name stay.
	MaxDeadContainers int32
	// MaxDeadInAll is how many ended containers of all pods stay; negative: any number. MinDeadAge is how long each stays.
	MaxDeadInAll int32
	MinDeadAge   time.Duration
	// LockFile is held while the kubelet runs; with ExitOnLockContention it ends when another process wants it.
	LockFile             string
	ExitOnLockContention bool
	// RuntimeCgroups is the container runtime's own cgroup, whose use /stats/summary tells.
	RuntimeCgroups string
	// CredentialProviderConfig and CredentialProviderDir are the plugins that give credentials for images.
	CredentialProviderConfig, CredentialProviderDir string
	registerTaints                                  []string

	// Config is complete once Complete has run.
	Config kubeletconfig.KubeletConfiguration
	// Gates are the feature gates of --feature-gates and the file.
	Gates featuregate.MutableFeatureGate

	flags *cliflag.NamedFlagSets
	// typed is what the deprecated flags were parsed into; Complete carries over what was set.
	typed *kubeletconfig.KubeletConfiguration
}

// NewOptions has upstream's defaults.
func NewOptions() *Options {
	o := &Options{
		CertDirectory: "/var/lib/kubelet/pki", RootDirectory: "/var/lib/kubelet", Schedulable: true,
		MaxDeadContainers: 1, MaxDeadInAll: -1, Gates: newGates(),
	}
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
	fs.StringVar(&o.CloudProvider, "cloud-provider", "", "\"external\" registers the node with the taint that a cloud controller manager removes. Empty: there is none.")
	fs.BoolVar(&o.Schedulable, "register-schedulable", o.Schedulable, "Register the node as schedulable.")
	_ = fs.MarkDeprecated("register-schedulable", "use --register-with-taints instead.")
	fs.Int32Var(&o.MaxDeadContainers, "maximum-dead-containers-per-container", o.MaxDeadContainers, "How many ended containers of a name are kept for their logs.")
	_ = fs.MarkDeprecated("maximum-dead-containers-per-container", "use eviction thresholds instead.")

	fs.Int32Var(&o.MaxDeadInAll, "maximum-dead-containers", o.MaxDeadInAll, "How many ended containers of this node are kept in all; negative: any number.")
	_ = fs.MarkDeprecated("maximum-dead-containers", "use eviction thresholds instead.")
	fs.DurationVar(&o.MinDeadAge, "minimum-container-ttl-duration", o.MinDeadAge, "How long an ended container is kept at least.")
	_ = fs.MarkDeprecated("minimum-container-ttl-duration", "use eviction thresholds instead.")
	fs.StringVar(&o.RuntimeCgroups, "runtime-cgroups", "", "Cgroup of the container runtime, whose use /stats/summary tells.")
	fs.StringVar(&o.CredentialProviderConfig, "image-credential-provider-config", "", "CredentialProviderConfig file (kubelet.config.k8s.io/v1), or folder of such .json, .yaml and .yml files, that names plugins which give credentials for images.")
	fs.StringVar(&o.CredentialProviderDir, "image-credential-provider-bin-dir", "", "Folder of these plugins' programs.")
	var keepVolumes bool
	fs.BoolVar(&keepVolumes, "keep-terminated-pod-volumes", false, "Without effect: the volumes of a pod that ended are unmounted.")
	_ = fs.MarkDeprecated("keep-terminated-pod-volumes", "it has no effect.")
	fs.StringVar(&o.LockFile, "lock-file", "", "File to lock while the kubelet runs: a second one waits.")
	fs.BoolVar(&o.ExitOnLockContention, "exit-on-lock-contention", false, "Exit when another process opens --lock-file.")

	o.typed = &kubeletconfig.KubeletConfiguration{}
	setDefaults(o.typed)
	fs = o.flags.FlagSet(overridesSection)
	bind(fs, o.typed)
	fs.StringSliceVar(&o.registerTaints, "register-with-taints", nil, "Taints to register the node with, as key=value:effect.")
	return o.flags
}

// Complete reads the files, applies flags and defaults, and validates.
func (o *Options) Complete() error {
	c := &kubeletconfig.KubeletConfiguration{}
	if err := o.load(c); err != nil {
		return err
	}
	setDefaults(c)
	if err := o.applyFlags(c); err != nil {
		return err
	}
	reserveCPUs(c)
	o.Config = *c
	var errs []error
	if err := o.nameNode(); err != nil {
		errs = append(errs, err)
	}
	for _, t := range o.registerTaints {
		taint, err := parseTaint(t)
		if err != nil {
			errs = append(errs, fmt.Errorf("--register-with-taints: %w", err))
			continue
		}
		o.Config.RegisterWithTaints = append(o.Config.RegisterWithTaints, taint)
	}
	if err := o.Gates.SetFromMap(c.FeatureGates); err != nil {
		errs = append(errs, fmt.Errorf("featureGates: %w", err))
	}
	errs = append(errs, o.validateFlags()...)
	for _, e := range validate(&o.Config) {
		errs = append(errs, e)
	}
	return utilerrors.NewAggregate(errs)
}

func (o *Options) nameNode() error {
	name := o.HostnameOverride
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("--hostname-override is missing and the host's name is unknown: %w", err)
		}
		name = host
	}
	o.NodeName = strings.ToLower(strings.TrimSpace(name))
	if o.NodeName == "" {
		return fmt.Errorf("--hostname-override: %q is no name", name)
	}
	return nil
}

func (o *Options) validateFlags() []error {
	var errs []error
	if o.BootstrapKubeconfig != "" && o.Kubeconfig == "" {
		errs = append(errs, fmt.Errorf("--kubeconfig is missing: --bootstrap-kubeconfig writes it"))
	}
	if o.ExitOnLockContention && o.LockFile == "" {
		errs = append(errs, fmt.Errorf("--lock-file is missing: --exit-on-lock-contention watches it"))
	}
	if (o.CredentialProviderConfig == "") != (o.CredentialProviderDir == "") {
		errs = append(errs, fmt.Errorf("--image-credential-provider-config and --image-credential-provider-bin-dir come together"))
	}
	if o.CloudProvider != "" && o.CloudProvider != "external" {
		errs = append(errs, fmt.Errorf("--cloud-provider: Unsupported value: %q: supported values: \"\", \"external\"", o.CloudProvider))
	}
	errs = append(errs, validateLabels(o.NodeLabels)...)
	return append(errs, validateNodeIP(o.NodeIP)...)
}

// reserveCPUs makes the number of reservedSystemCPUs the processors that are kept from pods, in place of what the other two
// fields say of them.
func reserveCPUs(c *kubeletconfig.KubeletConfiguration) {
	set, err := cpuset.Parse(c.ReservedSystemCPUs)
	if err != nil || set.IsEmpty() { // told by validate
		return
	}
	delete(c.KubeReserved, string(v1.ResourceCPU))
	if c.SystemReserved == nil {
		c.SystemReserved = map[string]string{}
	}
	c.SystemReserved[string(v1.ResourceCPU)] = strconv.Itoa(set.Size())
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
