package admission

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
)

// Options are the flags of admission.
type Options struct {
	// NotReadySeconds and UnreachableSeconds are how long pods stay on a node that is not ready or unreachable.
	NotReadySeconds, UnreachableSeconds int64

	generic *genericoptions.AdmissionOptions
}

// NewOptions returns the default set of plugins in their order.
func NewOptions() *Options {
	g := genericoptions.NewAdmissionOptions()
	g.RecommendedPluginOrder = nil
	g.DefaultOffPlugins = sets.New[string]()
	o := &Options{NotReadySeconds: defaultTolerance, UnreachableSeconds: defaultTolerance, generic: g}
	for _, p := range o.plugins() {
		g.RecommendedPluginOrder = append(g.RecommendedPluginOrder, p.Name)
		if p.Off {
			g.DefaultOffPlugins.Insert(p.Name)
		}
		if p.New != nil {
			g.Plugins.Register(p.Name, p.New)
		}
	}
	return o
}

// defaultTolerance is five minutes.
const defaultTolerance = 300

// AddFlags adds the flags.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	o.generic.AddFlags(fs)
	fs.Int64Var(&o.NotReadySeconds, "default-not-ready-toleration-seconds", o.NotReadySeconds, "Indicates the tolerationSeconds of the toleration for notReady:NoExecute that is added by default to every pod that does not already have such a toleration.")
	fs.Int64Var(&o.UnreachableSeconds, "default-unreachable-toleration-seconds", o.UnreachableSeconds, "Indicates the tolerationSeconds of the toleration for unreachable:NoExecute that is added by default to every pod that does not already have such a toleration.")
}

// Validate returns all faults of the flags. A wrong name is answered with the list of right ones.
func (o *Options) Validate() []error {
	var errs []error
	known := o.generic.Plugins.Registered()
	for flag, names := range map[string][]string{
		"enable-admission-plugins": o.generic.EnablePlugins, "disable-admission-plugins": o.generic.DisablePlugins,
	} {
		for _, n := range names {
			if !slices.Contains(known, n) {
				errs = append(errs, fmt.Errorf("%s plugin %q is unknown, known plugins are %s", flag, n, strings.Join(known, ", ")))
			}
		}
	}
	if len(errs) > 0 {
		return errs
	}
	return o.generic.Validate()
}

// Enabled returns the names of the plugins that will run, in order.
func (o *Options) Enabled() []string {
	var names []string
	for _, n := range o.generic.RecommendedPluginOrder {
		on := !o.generic.DefaultOffPlugins.Has(n) || slices.Contains(o.generic.EnablePlugins, n)
		if on && !slices.Contains(o.generic.DisablePlugins, n) {
			names = append(names, n)
		}
	}
	return names
}

// ApplyTo makes the chain and sets it in c; c's authorizer must be set already. extra hand plugins what only the
// server has, such as how webhooks are reached.
func (o *Options) ApplyTo(c *genericapiserver.Config, in informers.SharedInformerFactory, client kubernetes.Interface, dyn dynamic.Interface, extra ...admission.PluginInitializer) error {
	manifests, err := newStaticManifests()
	if err != nil {
		return err
	}
	extra = append(extra, wiring{manifests: manifests.loaders()})
	if err := o.generic.ApplyTo(c, in, client, dyn, c.FeatureGate, c.EffectiveVersion, extra...); err != nil {
		if file := o.generic.ConfigFile; file != "" {
			return fmt.Errorf("--admission-control-config-file %s: %w", file, err)
		}
		return fmt.Errorf("admission: %w", err)
	}
	return nil
}
