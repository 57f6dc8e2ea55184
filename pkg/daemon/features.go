package daemon

import (
	"fmt"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/util/compatibility"
	basecompatibility "k8s.io/component-base/compatibility"
	"k8s.io/component-base/featuregate"
	logsapi "k8s.io/component-base/logs/api/v1"
)

// Features are a daemon's feature gates and the version that it behaves like (KEP-4330).
type Features struct {
	Gate     featuregate.MutableVersionedFeatureGate
	registry basecompatibility.ComponentGlobalsRegistry
}

// NewFeatures knows the gates of logging, and those named: features that are generally available in the daemon, so that naming
// them is allowed and switching them off is not. Any other name is an error.
func NewFeatures(available ...featuregate.Feature) *Features {
	f := &Features{Gate: featuregate.NewFeatureGate(), registry: basecompatibility.NewComponentGlobalsRegistry()}
	specs := map[featuregate.Feature]featuregate.FeatureSpec{}
	for _, name := range available {
		specs[name] = featuregate.FeatureSpec{Default: true, LockToDefault: true, PreRelease: featuregate.GA}
	}
	must(f.Gate.Add(specs))
	must(logsapi.AddFeatureGates(f.Gate))
	must(f.registry.Register(basecompatibility.DefaultKubeComponent, compatibility.DefaultBuildEffectiveVersion(), f.Gate))
	return f
}

// AddFlags adds --feature-gates, --emulated-version and --min-compatibility-version.
func (f *Features) AddFlags(fs *pflag.FlagSet) { f.registry.AddFlags(fs) }

// Complete applies the flags; call it once they are parsed.
func (f *Features) Complete() error {
	if err := f.registry.Set(); err != nil {
		return fmt.Errorf("--feature-gates or --emulated-version: %w", err)
	}
	return utilerrors.NewAggregate(f.registry.Validate())
}

// Version is what --emulated-version and --min-compatibility-version say.
func (f *Features) Version() basecompatibility.EffectiveVersion {
	return f.registry.EffectiveVersionFor(basecompatibility.DefaultKubeComponent)
}

// must ends the process on a fault of the program itself, such as a gate registered twice.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
