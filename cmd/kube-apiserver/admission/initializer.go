package admission

import (
	"k8s.io/apiserver/pkg/admission"
	genericapiserver "k8s.io/apiserver/pkg/server"
)

// initializer hands plugins what no initializer of k8s.io/apiserver knows.
type initializer struct {
	config *genericapiserver.Config
}

func newInitializer(c *genericapiserver.Config) admission.PluginInitializer {
	return &initializer{config: c}
}

// Initialize implements admission.PluginInitializer.
func (i *initializer) Initialize(plugin admission.Interface) {}
