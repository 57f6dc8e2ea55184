package admission

import (
	"context"
	"fmt"
	"io"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/admission"
)

// denyServiceExternalIPs refuses new values of spec.externalIPs: with them, who may write a Service takes over traffic
// to any address (CVE-2020-8554). Values that a Service already has may stay or go.
type denyServiceExternalIPs struct{ *admission.Handler }

func newDenyServiceExternalIPs(io.Reader) (admission.Interface, error) {
	return denyServiceExternalIPs{admission.NewHandler(admission.Create, admission.Update)}, nil
}

// Validate implements admission.ValidationInterface.
func (denyServiceExternalIPs) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !is(a, "", "services") {
		return nil
	}
	service, err := object[*corev1.Service](a)
	if err != nil {
		return err
	}
	var had []string
	if a.GetOperation() == admission.Update {
		old, err := oldObject[*corev1.Service](a)
		if err != nil {
			return err
		}
		had = old.Spec.ExternalIPs
	}
	for _, ip := range service.Spec.ExternalIPs {
		if !slices.Contains(had, ip) {
			return admission.NewForbidden(a, fmt.Errorf("spec.externalIPs: %s: use of external IPs is denied by admission control: the cluster's administrator can allow it by --disable-admission-plugins=DenyServiceExternalIPs", ip))
		}
	}
	return nil
}
