package admission

import (
	"fmt"
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/admission/initializer"
	policyloader "k8s.io/apiserver/pkg/admission/plugin/policy/manifest/loader"
	webhookloader "k8s.io/apiserver/pkg/admission/plugin/webhook/manifest/loader"

	"pilotis.dev/api/defaulting"
	"pilotis.dev/api/validation"
	"pilotis.dev/api/validation/expressions"
)

// staticManifests reads webhooks and policies from the directories that --admission-control-config-file names
// (KEP-5793). They hold from the first request on and nobody can delete them by the API.
type staticManifests struct {
	scheme  *runtime.Scheme
	decoder runtime.Decoder
	// rules are made with the first manifest: the CEL compiler is large and most servers have none.
	rules func() (*validation.Validator, error)
}

func newStaticManifests() (*staticManifests, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{admissionregistrationv1.AddToScheme, defaulting.Register} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("types of static admission manifests: %w", err)
		}
	}
	scheme.AddKnownTypes(schema.GroupVersion{Version: "v1"}, &metav1.List{})
	rules := sync.OnceValues(func() (*validation.Validator, error) {
		compiler, err := expressions.New()
		return &validation.Validator{Expressions: compiler}, err
	})
	return &staticManifests{scheme: scheme, rules: rules, decoder: serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()}, nil
}

// loaders are what the plugins of k8s.io/apiserver ask for.
func (m *staticManifests) loaders() *initializer.ManifestLoaders {
	return &initializer.ManifestLoaders{
		LoadValidatingWebhookManifests: func(dir string) ([]*admissionregistrationv1.ValidatingWebhookConfiguration, string, error) {
			return webhookloader.LoadManifests(dir, m.decoder, webhookloader.AcceptObjectFunc[*admissionregistrationv1.ValidatingWebhookConfiguration](accept[*admissionregistrationv1.ValidatingWebhookConfiguration](m)))
		},
		LoadMutatingWebhookManifests: func(dir string) ([]*admissionregistrationv1.MutatingWebhookConfiguration, string, error) {
			return webhookloader.LoadManifests(dir, m.decoder, webhookloader.AcceptObjectFunc[*admissionregistrationv1.MutatingWebhookConfiguration](accept[*admissionregistrationv1.MutatingWebhookConfiguration](m)))
		},
		LoadValidatingPolicyManifests: func(dir string) ([]*admissionregistrationv1.ValidatingAdmissionPolicy, []*admissionregistrationv1.ValidatingAdmissionPolicyBinding, string, error) {
			return policyloader.LoadPolicyManifests(dir, m.decoder,
				policyloader.AcceptObjectFunc[*admissionregistrationv1.ValidatingAdmissionPolicy](accept[*admissionregistrationv1.ValidatingAdmissionPolicy](m)),
				policyloader.AcceptObjectFunc[*admissionregistrationv1.ValidatingAdmissionPolicyBinding](accept[*admissionregistrationv1.ValidatingAdmissionPolicyBinding](m)),
				func(b *admissionregistrationv1.ValidatingAdmissionPolicyBinding) string { return b.Spec.PolicyName })
		},
		LoadMutatingPolicyManifests: func(dir string) ([]*admissionregistrationv1.MutatingAdmissionPolicy, []*admissionregistrationv1.MutatingAdmissionPolicyBinding, string, error) {
			return policyloader.LoadPolicyManifests(dir, m.decoder,
				policyloader.AcceptObjectFunc[*admissionregistrationv1.MutatingAdmissionPolicy](accept[*admissionregistrationv1.MutatingAdmissionPolicy](m)),
				policyloader.AcceptObjectFunc[*admissionregistrationv1.MutatingAdmissionPolicyBinding](accept[*admissionregistrationv1.MutatingAdmissionPolicyBinding](m)),
				func(b *admissionregistrationv1.MutatingAdmissionPolicyBinding) string { return b.Spec.PolicyName })
		},
	}
}

// accept takes objects of one type, alone or in a list of theirs, with defaults and without faults. Other types give
// policyloader.ErrUnrecognizedType: the caller may try another.
func accept[T interface {
	runtime.Object
	metav1.Object
}](m *staticManifests) func(obj runtime.Object) ([]T, error) {
	return func(obj runtime.Object) ([]T, error) {
		items := []runtime.Object{obj}
		if meta.IsListType(obj) {
			list, err := meta.ExtractList(obj)
			if err != nil {
				return nil, err
			}
			items = list
		}
		rules, err := m.rules()
		if err != nil {
			return nil, err
		}
		var out []T
		for _, item := range items {
			o, ok := item.(T)
			if !ok {
				return nil, fmt.Errorf("%w: %T", policyloader.ErrUnrecognizedType, item)
			}
			m.scheme.Default(o)
			if errs := rules.Create(o); len(errs) > 0 {
				return nil, fmt.Errorf("%s: %w", o.GetName(), errs.ToAggregate())
			}
			out = append(out, o)
		}
		return out, nil
	}
}
