// Package config is the scheduler's configuration: the file KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1),
// the flags beside it, their defaults and validation.
package config

import (
	"bytes"
	"fmt"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	cliflag "k8s.io/component-base/cli/flag"
	componentbaseconfig "k8s.io/component-base/config"
	componentoptions "k8s.io/component-base/config/options"
	"k8s.io/component-base/featuregate"
	"k8s.io/component-base/metrics"
	schedulerconfig "k8s.io/kube-scheduler/config/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"pilotis.dev/pkg/daemon"
)

// Options are the command line.
type Options struct {
	File          string
	Master        string
	WriteConfigTo string
	// MaxUnschedulable brings back pods that nothing woke for so long.
	MaxUnschedulable time.Duration
	Serving          *daemon.ServingOptions
	Config           schedulerconfig.KubeSchedulerConfiguration
	Election         componentbaseconfig.LeaderElectionConfiguration
	Client           componentbaseconfig.ClientConnectionConfiguration
	Metrics          *metrics.Options
	Features         *daemon.Features
	// ContentionProfiling is upstream's flag of the same name; its default is off here, since every wait for a lock pays for it.
	ContentionProfiling bool

	flags *cliflag.NamedFlagSets
}

// available are gates of features that this scheduler always has.
var available = []featuregate.Feature{"NodeInclusionPolicyInPodTopologySpread", "SchedulerQueueingHints", "SidecarContainers"}

// NewOptions has upstream's defaults.
func NewOptions() *Options {
	o := &Options{Serving: daemon.NewServingOptions(10259), MaxUnschedulable: 5 * time.Minute, Metrics: metrics.NewOptions(), Features: daemon.NewFeatures(available...)}
	o.Election = componentbaseconfig.LeaderElectionConfiguration{
		LeaderElect: true, ResourceLock: "leases", ResourceName: "kube-scheduler", ResourceNamespace: "kube-system",
		LeaseDuration: metav1.Duration{Duration: 15 * time.Second}, RenewDeadline: metav1.Duration{Duration: 10 * time.Second}, RetryPeriod: metav1.Duration{Duration: 2 * time.Second},
	}
	o.Client = componentbaseconfig.ClientConnectionConfiguration{QPS: 50, Burst: 100, ContentType: "application/vnd.kubernetes.protobuf"}
	return o
}

// Flags are the sections of --help.
func (o *Options) Flags() *cliflag.NamedFlagSets {
	o.flags = &cliflag.NamedFlagSets{}
	fs := o.flags.FlagSet("misc")
	fs.StringVar(&o.File, "config", "", "Path of a KubeSchedulerConfiguration file (kubescheduler.config.k8s.io/v1). Flags given override it.")
	fs.StringVar(&o.WriteConfigTo, "write-config-to", "", "Write the configuration in force to this file and exit.")
	fs.StringVar(&o.Master, "master", "", "Address of the API server; overrides the kubeconfig's.")
	fs.StringVar(&o.Client.Kubeconfig, "kubeconfig", "", "Kubeconfig file; without it the pod's service account is used.")
	fs.StringVar(&o.Client.ContentType, "kube-api-content-type", o.Client.ContentType, "Encoding of requests to the API server.")
	fs.Float32Var(&o.Client.QPS, "kube-api-qps", o.Client.QPS, "Requests a second to the API server.")
	fs.Int32Var(&o.Client.Burst, "kube-api-burst", o.Client.Burst, "Requests to the API server above the rate, for a moment.")
	fs.DurationVar(&o.MaxUnschedulable, "pod-max-in-unschedulable-pods-duration", o.MaxUnschedulable, "Try pods again that nothing woke for so long.")
	fs.BoolVar(&o.ContentionProfiling, "contention-profiling", false, "Profile waits for locks under /debug/pprof/block, where --profiling is on.")
	o.Features.AddFlags(fs)
	componentoptions.BindLeaderElectionFlags(&o.Election, o.flags.FlagSet("leader election"))
	o.Serving.AddFlags(o.flags)
	o.Metrics.AddFlags(o.flags.FlagSet("metrics"))
	return o.flags
}

// Complete reads the file, defaults and validates.
func (o *Options) Complete() error {
	if err := o.Features.Complete(); err != nil {
		return err
	}
	if o.File != "" {
		if err := o.read(); err != nil {
			return fmt.Errorf("--config %s: %w", o.File, err)
		}
	}
	setDefaults(&o.Config)
	all := append(o.Serving.Validate(), o.Metrics.Validate()...)
	for _, e := range validate(&o.Config) {
		all = append(all, e)
	}
	if len(all) > 0 {
		return utilerrors.NewAggregate(all)
	}
	if o.WriteConfigTo != "" {
		data, err := yaml.Marshal(&o.Config)
		if err != nil {
			return err
		}
		return os.WriteFile(o.WriteConfigTo, data, 0o644)
	}
	return nil
}

func (o *Options) read() error {
	data, err := os.ReadFile(o.File)
	if err != nil {
		return err
	}
	given := o.given()
	data = bytes.TrimSpace(data)
	if err := yaml.UnmarshalStrict(data, &o.Config); err != nil {
		return err
	}
	if o.Config.APIVersion != schedulerconfig.SchemeGroupVersion.String() || o.Config.Kind != "KubeSchedulerConfiguration" {
		return fmt.Errorf("it holds %q of %q: expected kind KubeSchedulerConfiguration of apiVersion %s", o.Config.Kind, o.Config.APIVersion, schedulerconfig.SchemeGroupVersion)
	}
	// The file fills what no flag says.
	c, le := o.Config.ClientConnection, o.Config.LeaderElection
	fill(given, "kubeconfig", &o.Client.Kubeconfig, c.Kubeconfig)
	fill(given, "kube-api-content-type", &o.Client.ContentType, c.ContentType)
	fill(nil, "", &o.Client.AcceptContentTypes, c.AcceptContentTypes)
	fill(given, "kube-api-qps", &o.Client.QPS, c.QPS)
	fill(given, "kube-api-burst", &o.Client.Burst, c.Burst)
	fillPointer(given, "leader-elect", &o.Election.LeaderElect, le.LeaderElect)
	fillPointer(given, "profiling", &o.Serving.Profiling, o.Config.EnableProfiling)
	fillPointer(given, "contention-profiling", &o.ContentionProfiling, o.Config.EnableContentionProfiling)
	fill(given, "leader-elect-resource-lock", &o.Election.ResourceLock, le.ResourceLock)
	fill(given, "leader-elect-resource-name", &o.Election.ResourceName, le.ResourceName)
	fill(given, "leader-elect-resource-namespace", &o.Election.ResourceNamespace, le.ResourceNamespace)
	fill(given, "leader-elect-lease-duration", &o.Election.LeaseDuration, le.LeaseDuration)
	fill(given, "leader-elect-renew-deadline", &o.Election.RenewDeadline, le.RenewDeadline)
	fill(given, "leader-elect-retry-period", &o.Election.RetryPeriod, le.RetryPeriod)
	return nil
}

func (o *Options) given() map[string]bool {
	given := map[string]bool{}
	for _, fs := range o.flags.FlagSets {
		for _, name := range changed(fs) {
			given[name] = true
		}
	}
	return given
}

func fill[T comparable](given map[string]bool, flag string, to *T, value T) {
	var zero T
	if !given[flag] && value != zero {
		*to = value
	}
}

func fillPointer[T any](given map[string]bool, flag string, to, value *T) {
	if !given[flag] && value != nil {
		*to = *value
	}
}

func setDefaults(c *schedulerconfig.KubeSchedulerConfiguration) {
	c.APIVersion, c.Kind = schedulerconfig.SchemeGroupVersion.String(), "KubeSchedulerConfiguration"
	setDefault(&c.Parallelism, 16)
	setDefault(&c.PodInitialBackoffSeconds, 1)
	setDefault(&c.PodMaxBackoffSeconds, 10)
	setDefault(&c.PercentageOfNodesToScore, 0)
	if len(c.Profiles) == 0 {
		c.Profiles = []schedulerconfig.KubeSchedulerProfile{{}}
	}
	if len(c.Profiles) == 1 && c.Profiles[0].SchedulerName == nil {
		c.Profiles[0].SchedulerName = ptr.To("default-scheduler")
	}
}

func setDefault[T any](p **T, value T) {
	if *p == nil {
		*p = &value
	}
}

func validate(c *schedulerconfig.KubeSchedulerConfiguration) field.ErrorList {
	var errs field.ErrorList
	if *c.Parallelism <= 0 {
		errs = append(errs, field.Invalid(field.NewPath("parallelism"), *c.Parallelism, "should be an integer value greater than zero"))
	}
	if p := *c.PercentageOfNodesToScore; p < 0 || p > 100 {
		errs = append(errs, field.Invalid(field.NewPath("percentageOfNodesToScore"), p, "not in valid range [0-100]"))
	}
	if *c.PodInitialBackoffSeconds <= 0 {
		errs = append(errs, field.Invalid(field.NewPath("podInitialBackoffSeconds"), *c.PodInitialBackoffSeconds, "must be greater than 0"))
	}
	if *c.PodMaxBackoffSeconds < *c.PodInitialBackoffSeconds {
		errs = append(errs, field.Invalid(field.NewPath("podMaxBackoffSeconds"), *c.PodMaxBackoffSeconds, "must be greater than or equal to PodInitialBackoffSeconds"))
	}
	if len(c.Extenders) > 0 {
		errs = append(errs, field.Forbidden(field.NewPath("extenders"), "this scheduler asks no extenders yet: remove them, or run a scheduler of your own under another spec.schedulerName"))
	}
	names := map[string]bool{}
	for i, p := range c.Profiles {
		path := field.NewPath("profiles").Index(i).Child("schedulerName")
		name := ptr.Deref(p.SchedulerName, "")
		if name == "" {
			errs = append(errs, field.Required(path, ""))
		} else if names[name] {
			errs = append(errs, field.Duplicate(path, name))
		}
		names[name] = true
		if n := p.PercentageOfNodesToScore; n != nil && (*n < 0 || *n > 100) {
			errs = append(errs, field.Invalid(field.NewPath("profiles").Index(i).Child("percentageOfNodesToScore"), *n, "not in valid range [0-100]"))
		}
		errs = append(errs, validatePlugins(p.Plugins, field.NewPath("profiles").Index(i).Child("plugins"))...)
	}
	return errs
}
