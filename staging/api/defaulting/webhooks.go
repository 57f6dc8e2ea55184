package defaulting

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ValidatingWebhookConfiguration fills the validating webhooks.
func ValidatingWebhookConfiguration(c *admissionregistrationv1.ValidatingWebhookConfiguration) {
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		pointer(&w.FailurePolicy, admissionregistrationv1.Fail)
		pointer(&w.MatchPolicy, admissionregistrationv1.Equivalent)
		pointer(&w.NamespaceSelector, metav1.LabelSelector{})
		pointer(&w.ObjectSelector, metav1.LabelSelector{})
		pointer(&w.TimeoutSeconds, 10)
		webhookService(w.ClientConfig.Service)
		webhookRules(w.Rules)
	}
}

// MutatingWebhookConfiguration fills the mutating webhooks.
func MutatingWebhookConfiguration(c *admissionregistrationv1.MutatingWebhookConfiguration) {
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		pointer(&w.FailurePolicy, admissionregistrationv1.Fail)
		pointer(&w.MatchPolicy, admissionregistrationv1.Equivalent)
		pointer(&w.NamespaceSelector, metav1.LabelSelector{})
		pointer(&w.ObjectSelector, metav1.LabelSelector{})
		pointer(&w.TimeoutSeconds, 10)
		pointer(&w.ReinvocationPolicy, admissionregistrationv1.NeverReinvocationPolicy)
		webhookService(w.ClientConfig.Service)
		webhookRules(w.Rules)
	}
}

func webhookService(s *admissionregistrationv1.ServiceReference) {
	if s != nil {
		pointer(&s.Port, 443)
	}
}

func webhookRules(rules []admissionregistrationv1.RuleWithOperations) {
	for i := range rules {
		pointer(&rules[i].Scope, admissionregistrationv1.AllScopes)
	}
}
