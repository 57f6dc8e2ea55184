package admissionregistration

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// ValidatingWebhookConfigurations declares validatingwebhookconfigurations.
func ValidatingWebhookConfigurations() *kind.Kind[*admissionregistrationv1.ValidatingWebhookConfiguration] {
	type T = *admissionregistrationv1.ValidatingWebhookConfiguration
	return &kind.Kind[T]{
		Group: "admissionregistration.k8s.io", Resource: "validatingwebhookconfigurations", Singular: "validatingwebhookconfiguration", Categories: []string{"api-extensions"}, ClusterScoped: true,
		New:               func() T { return &admissionregistrationv1.ValidatingWebhookConfiguration{} },
		NewList:           func() runtime.Object { return &admissionregistrationv1.ValidatingWebhookConfigurationList{} },
		Spec:              kind.Field(func(c T) *[]admissionregistrationv1.ValidatingWebhook { return &c.Webhooks }),
		Generation:        true,
		ConditionalUpdate: true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Number("Webhooks", func(c T) int { return len(c.Webhooks) }),
			kind.Age[T](),
		},
	}
}
