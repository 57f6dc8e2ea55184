package server

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"pilotis.dev/cmd/kube-apiserver/resources"
)

// serves says whether a resource is switched on and was there in the release that is emulated.
func (c *config) serves(r schema.GroupVersionResource, obj runtime.Object) bool {
	if introduced, ok := obj.(interface{ APILifecycleIntroduced() (major, minor int) }); ok {
		major, minor := introduced.APILifecycleIntroduced()
		if c.generic.EffectiveVersion.EmulationVersion().LessThan(version.MajorMinor(uint(major), uint(minor))) {
			return false
		}
	}
	return c.generic.MergedResourceConfig.ResourceEnabled(r)
}

// hideUnintroduced takes out of groups what the release of --emulated-version did not have yet (KEP-4330).
func (c *config) hideUnintroduced(groups map[string]resources.Group) error {
	v := c.generic.EffectiveVersion
	if v.EmulationVersion().EqualTo(v.BinaryVersion()) {
		return nil // the table of resources is that of this release
	}
	evaluator, err := genericapiserver.NewResourceExpirationEvaluatorFromOptions(genericapiserver.ResourceExpirationEvaluatorOptions{
		CurrentVersion:                          v.EmulationVersion(),
		EmulationForwardCompatible:              c.generic.EmulationForwardCompatible,
		RuntimeConfigEmulationForwardCompatible: c.generic.RuntimeConfigEmulationForwardCompatible,
	})
	if err != nil {
		return err
	}
	for name, group := range groups {
		if err := evaluator.RemoveUnavailableKinds(name, c.types.Scheme, group, c.generic.MergedResourceConfig); err != nil {
			return fmt.Errorf("--emulated-version=%s: %w", v.EmulationVersion(), err)
		}
	}
	return nil
}
