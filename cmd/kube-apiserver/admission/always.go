package admission

import (
	"context"
	"errors"
	"io"

	"k8s.io/apiserver/pkg/admission"
)

// alwaysAdmit admits everything. It is the same as no plugin and exists for old command lines.
type alwaysAdmit struct{}

func newAlwaysAdmit(io.Reader) (admission.Interface, error) { return alwaysAdmit{}, nil }

// Handles implements admission.Interface.
func (alwaysAdmit) Handles(admission.Operation) bool { return true }

// Admit implements admission.MutationInterface.
func (alwaysAdmit) Admit(context.Context, admission.Attributes, admission.ObjectInterfaces) error {
	return nil
}

// Validate implements admission.ValidationInterface.
func (alwaysAdmit) Validate(context.Context, admission.Attributes, admission.ObjectInterfaces) error {
	return nil
}

// alwaysDeny refuses everything; it is for tests of clients.
type alwaysDeny struct{}

func newAlwaysDeny(io.Reader) (admission.Interface, error) { return alwaysDeny{}, nil }

// Handles implements admission.Interface.
func (alwaysDeny) Handles(admission.Operation) bool { return true }

// Admit implements admission.MutationInterface.
func (alwaysDeny) Admit(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	return admission.NewForbidden(a, errors.New("admission control is denying all modifications"))
}

// Validate implements admission.ValidationInterface.
func (alwaysDeny) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	return admission.NewForbidden(a, errors.New("admission control is denying all modifications"))
}
