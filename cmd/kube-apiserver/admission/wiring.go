package admission

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/utils/clock"

	"pilotis.dev/pkg/quota"
)

// wiring hands plugins what no initializer of k8s.io/apiserver knows.
type wiring struct{ manifests *initializer.ManifestLoaders }

// Initialize implements admission.PluginInitializer.
func (w wiring) Initialize(plugin admission.Interface) {
	if p, ok := plugin.(initializer.WantsQuotaConfiguration); ok {
		p.SetQuotaConfiguration(quota.NewConfiguration(nil, clock.RealClock{}))
	}
	if p, ok := plugin.(initializer.WantsExcludedAdmissionResources); ok {
		p.SetExcludedAdmissionResources(excluded())
	}
	if p, ok := plugin.(initializer.WantsManifestLoaders); ok {
		p.SetManifestLoaders(w.manifests)
	}
}

// excluded are resources that no policy or webhook may stop: those by which policies themselves are mended, and the
// questions about identity and rights, which webhooks ask themselves.
func excluded() []schema.GroupResource {
	var out []schema.GroupResource
	for group, resources := range map[string][]string{
		"admissionregistration.k8s.io": {
			"validatingadmissionpolicies", "validatingadmissionpolicybindings",
			"mutatingadmissionpolicies", "mutatingadmissionpolicybindings",
			"validatingwebhookconfigurations", "mutatingwebhookconfigurations",
		},
		"authentication.k8s.io": {"tokenreviews", "selfsubjectreviews"},
		"authorization.k8s.io": {
			"subjectaccessreviews", "localsubjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews",
		},
	} {
		for _, r := range resources {
			out = append(out, schema.GroupResource{Group: group, Resource: r})
		}
	}
	return out
}
