package admission

import (
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	mutatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	validatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	validatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/validating"
)

// Plugins is the table of all plugins in the order in which they run. Mutating ones run before validating ones
// whatever their place; webhooks and quota come last, because they must see the final object.
func Plugins() []Plugin {
	return []Plugin{
		{Name: lifecycle.PluginName},
		{Name: mutatingpolicy.PluginName},
		{Name: mutatingwebhook.PluginName},
		{Name: validatingpolicy.PluginName},
		{Name: validatingwebhook.PluginName},
	}
}
