package validation

import (
	"crypto/x509"
	"fmt"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func podCertificateRequestCreate(r *certificatesv1.PodCertificateRequest) *faults {
	f := metadata(&r.ObjectMeta, namespaced, subdomainName)
	p := field.NewPath("spec")
	s := &r.Spec
	signerName(f, s.SignerName, p)
	f.messages(p, "podName", s.PodName, subdomainName(s.PodName, false))
	f.messages(p, "serviceAccountName", s.ServiceAccountName, subdomainName(s.ServiceAccountName, false))
	f.messages(p, "nodeName", string(s.NodeName), subdomainName(string(s.NodeName), false))
	for _, id := range []struct{ name, uid string }{{"podUID", string(s.PodUID)}, {"serviceAccountUID", string(s.ServiceAccountUID)}, {"nodeUID", string(s.NodeUID)}} {
		if id.uid == "" {
			f.invalid(p, id.name, id.uid, "must not be empty")
		} else if len(id.uid) > 128 {
			f.tooLong(p, id.name, 128)
		}
	}
	if s.MaxExpirationSeconds == nil {
		f.required(p, "maxExpirationSeconds", "must be set")
	} else {
		certificateAge(f, *s.MaxExpirationSeconds, s.SignerName, p)
	}
	if len(s.StubPKCS10Request) == 0 {
		f.required(p, "stubPKCS10Request", "must be set")
	} else if _, err := x509.ParseCertificateRequest(s.StubPKCS10Request); err != nil {
		f.invalid(p, "stubPKCS10Request", field.OmitValueType{}, fmt.Sprintf("is not a valid PKCS#10 certificate signing request: %v", err))
	}
	userAnnotations(f, s.UnverifiedUserAnnotations, p.Child("unverifiedUserAnnotations"))
	return f
}

func userAnnotations(f *faults, m map[string]string, p *field.Path) {
	total := 0
	for k, v := range m {
		total += len(k) + len(v)
		f.add(validation.IsDomainPrefixedKey(p.Key(k), k)...)
	}
	if total > maxUserAnnotations {
		f.tooLong(p, "", maxUserAnnotations)
	}
}

func podCertificateRequestUpdate(r, old *certificatesv1.PodCertificateRequest) *faults {
	f := metadataUpdate(&r.ObjectMeta, &old.ObjectMeta)
	f.immutable(nil, "spec", r.Spec, old.Spec)
	return f
}

// podCertificateStatus: a request ends once, issued, denied or failed; only an issued one has a certificate.
func podCertificateStatus(r, old *certificatesv1.PodCertificateRequest) *faults {
	f := metadataUpdate(&r.ObjectMeta, &old.ObjectMeta)
	p := field.NewPath("status")
	conditionsOf(f, r.Status.Conditions, p.Child("conditions"))
	ends := func(x *certificatesv1.PodCertificateRequest) (out []string) {
		for _, c := range x.Status.Conditions {
			switch c.Type {
			case certificatesv1.PodCertificateRequestConditionTypeIssued, certificatesv1.PodCertificateRequestConditionTypeDenied, certificatesv1.PodCertificateRequestConditionTypeFailed:
				out = append(out, c.Type)
				if c.Status != "True" {
					f.add(field.NotSupported(p.Child("conditions").Key(c.Type).Child("status"), c.Status, []string{"True"}))
				}
			}
		}
		return out
	}
	now := ends(r)
	if len(now) > 1 {
		f.invalid(p, "conditions", now, "There may be at most one condition with type \"Issued\", \"Denied\", or \"Failed\"")
	}
	if len(ends(old)) > 0 && !same(r.Status, old.Status) {
		f.invalid(p, "", field.OmitValueType{}, "immutable after the request was issued, denied, or failed")
		return f
	}
	issued := len(now) == 1 && now[0] == certificatesv1.PodCertificateRequestConditionTypeIssued
	switch s := &r.Status; {
	case !issued && (s.CertificateChain != "" || s.NotBefore != nil || s.NotAfter != nil || s.BeginRefreshAt != nil):
		f.invalid(p, "certificateChain", field.OmitValueType{}, "certificate, notBefore, beginRefreshAt, and notAfter may only be set with condition Issued")
	case issued:
		if err := onlyCertificates([]byte(s.CertificateChain)); err != nil {
			f.invalid(p, "certificateChain", "<certificate data>", err.Error())
		}
		if s.NotBefore == nil {
			f.required(p, "notBefore", "must be present and consistent with the issued certificate")
		}
		if s.NotAfter == nil {
			f.required(p, "notAfter", "must be present and consistent with the issued certificate")
		}
		if s.BeginRefreshAt == nil {
			f.required(p, "beginRefreshAt", "must be present and consistent with the issued certificate")
		}
	}
	return f
}
