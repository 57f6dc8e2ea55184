package validation

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Subresource returns all faults of a request to a subresource: "scale", "binding", "ephemeralcontainers", "resize",
// "approval", "finalize" and "token". The object is what the request carries; old is the stored object, and is not
// used by those that only carry orders. Other names have no rules.
func Subresource(name string, obj, old runtime.Object) field.ErrorList {
	if f := subresource(name, obj, old); f != nil {
		return f.list
	}
	return nil
}

// Subresource is the function of the same name: no subresource holds an expression.
func (v *Validator) Subresource(name string, obj, old runtime.Object) field.ErrorList {
	return Subresource(name, obj, old)
}

func subresource(name string, obj, old runtime.Object) *faults {
	switch o := obj.(type) {
	case *autoscalingv1.Scale:
		if name == "scale" {
			return scaleUpdate(o)
		}
	case *corev1.Binding:
		if name == "binding" {
			return podBinding(o)
		}
	case *corev1.Pod:
		switch name {
		case "ephemeralcontainers":
			return pair(o, old, podEphemeralContainers)
		case "resize":
			return pair(o, old, podResize)
		}
	case *certificatesv1.CertificateSigningRequest:
		if name == "approval" {
			return pair(o, old, signingApproval)
		}
	case *corev1.Namespace:
		if name == "finalize" {
			return pair(o, old, namespaceFinalize)
		}
	case *authenticationv1.TokenRequest:
		if name == "token" {
			return tokenRequest(o)
		}
	}
	return nil
}
