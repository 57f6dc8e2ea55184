package api

import (
	"errors"
	"reflect"

	certificatesv1 "k8s.io/api/certificates/v1"
	certificatesv1beta1 "k8s.io/api/certificates/v1beta1"
	resourcev1 "k8s.io/api/resource/v1"
	resourcev1beta1 "k8s.io/api/resource/v1beta1"
)

// uneven are the types that an older version wrote in another shape. Those of resource.k8s.io/v1beta1 are flat where v1
// nests, and the other way round (KEP-4381).
func uneven() shapes {
	u := shapes{}
	unlike(u, u.deviceToV1, u.deviceFromV1)
	unlike(u, u.deviceRequestToV1, u.deviceRequestFromV1)
	unlike(u, u.certificateSpecToV1, u.certificateSpecFromV1)
	return u
}

func unlike[A, B any](u shapes, there func(*A, *B) error, back func(*B, *A) error) {
	a, b := reflect.TypeFor[A](), reflect.TypeFor[B]()
	u[pairOf{a, b}] = func(from, to reflect.Value) error { return there(from.Interface().(*A), to.Interface().(*B)) }
	u[pairOf{b, a}] = func(from, to reflect.Value) error { return back(from.Interface().(*B), to.Interface().(*A)) }
}

// common assigns what two structs, given by pointers, have in common: all fields of the smaller.
func (u shapes) common(from, to any) error {
	return u.assignFields(reflect.ValueOf(from).Elem(), reflect.ValueOf(to).Elem())
}

func (u shapes) deviceToV1(in *resourcev1beta1.Device, out *resourcev1.Device) error {
	*out = resourcev1.Device{Name: in.Name}
	if in.Basic == nil {
		return nil
	}
	return u.common(in.Basic, out)
}

func (u shapes) deviceFromV1(in *resourcev1.Device, out *resourcev1beta1.Device) error {
	*out = resourcev1beta1.Device{Name: in.Name, Basic: &resourcev1beta1.BasicDevice{}}
	return u.common(in, out.Basic)
}

func (u shapes) deviceRequestToV1(in *resourcev1beta1.DeviceRequest, out *resourcev1.DeviceRequest) error {
	*out = resourcev1.DeviceRequest{Name: in.Name}
	exact := &resourcev1.ExactDeviceRequest{}
	if err := u.common(in, exact); err != nil {
		return err
	}
	if !reflect.ValueOf(*exact).IsZero() {
		out.Exactly = exact
	}
	return u.assign(reflect.ValueOf(in.FirstAvailable), reflect.ValueOf(&out.FirstAvailable).Elem())
}

func (u shapes) deviceRequestFromV1(in *resourcev1.DeviceRequest, out *resourcev1beta1.DeviceRequest) error {
	*out = resourcev1beta1.DeviceRequest{Name: in.Name}
	if in.Exactly != nil {
		if err := u.common(in.Exactly, out); err != nil {
			return err
		}
	}
	return u.assign(reflect.ValueOf(in.FirstAvailable), reflect.ValueOf(&out.FirstAvailable).Elem())
}

// The fields that v1beta1 deprecates and v1 has no place for are refused rather than lost.
func (u shapes) certificateSpecToV1(in *certificatesv1beta1.PodCertificateRequestSpec, out *certificatesv1.PodCertificateRequestSpec) error {
	if len(in.PKIXPublicKey) > 0 || len(in.ProofOfPossession) > 0 {
		return errors.New("spec.pkixPublicKey and spec.proofOfPossession are no longer taken: give spec.stubPKCS10Request")
	}
	return u.common(in, out)
}

func (u shapes) certificateSpecFromV1(in *certificatesv1.PodCertificateRequestSpec, out *certificatesv1beta1.PodCertificateRequestSpec) error {
	*out = certificatesv1beta1.PodCertificateRequestSpec{}
	return u.common(in, out)
}
