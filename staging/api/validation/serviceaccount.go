package validation

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func serviceAccountCreate(a *corev1.ServiceAccount) *faults {
	return metadata(&a.ObjectMeta, namespaced, subdomainName)
}

func serviceAccountUpdate(a, old *corev1.ServiceAccount) *faults {
	return metadataUpdate(&a.ObjectMeta, &old.ObjectMeta)
}

// tokenRequest checks the token subresource.
func tokenRequest(r *authenticationv1.TokenRequest) *faults {
	f := &faults{}
	spec := field.NewPath("spec")
	if r.Spec.ExpirationSeconds == nil {
		f.required(spec, "expirationSeconds", "")
		return f
	}
	seconds := *r.Spec.ExpirationSeconds
	if seconds < minTokenSeconds {
		f.invalid(spec, "expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
	}
	if seconds > maxTokenSeconds {
		f.invalid(spec, "expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")
	}
	return f
}
