package admissionregistration

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

// MutatingWebhookConfigurations declares mutatingwebhookconfigurations.
func MutatingWebhookConfigurations() *kind.Kind[*admissionregistrationv1.MutatingWebhookConfiguration] {
	type T = *admissionregistrationv1.MutatingWebhookConfiguration
	return &kind.Kind[T]{
		Group: "admissionregistration.k8s.io", Resource: "mutatingwebhookconfigurations", Singular: "mutatingwebhookconfiguration", Categories: []string{"api-extensions"}, ClusterScoped: true,
		New:               func() T { return &admissionregistrationv1.MutatingWebhookConfiguration{} },
		NewList:           func() runtime.Object { return &admissionregistrationv1.MutatingWebhookConfigurationList{} },
		Spec:              kind.Field(func(c T) *[]admissionregistrationv1.MutatingWebhook { return &c.Webhooks }),
		Generation:        true,
		ConditionalUpdate: true,
		Columns: []kind.Column[T]{
			kind.Name[T](),
			kind.Number("Webhooks", func(c T) int { return len(c.Webhooks) }),
			kind.Age[T](),
		},
	}
}
