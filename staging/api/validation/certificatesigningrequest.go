package validation

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	minSigningSeconds = 600
	legacySigner      = "kubernetes.io/legacy-unknown"
	maxSigner         = 63*5 + 256
)

func kubernetesSigner(name string) bool { return strings.HasPrefix(name, "kubernetes.io/") }

// signerName checks domain/path.
func signerName(f *faults, name string, p *field.Path) {
	if name == "" {
		f.required(p, "signerName", "")
		return
	}
	domain, path, ok := strings.Cut(name, "/")
	if !ok || path == "" {
		f.invalid(p, "signerName", name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")
		return
	}
	if len(name) > maxSigner {
		f.tooLong(p, "signerName", maxSigner)
	}
	for _, msg := range validation.IsDNS1123Subdomain(domain) {
		f.invalid(p, "signerName", domain, "validating label \""+domain+"\": "+msg)
	}
	if !strings.Contains(domain, ".") {
		f.invalid(p, "signerName", domain, "should be a domain with at least two segments separated by dots")
	}
	for segment := range strings.SplitSeq(path, "/") {
		for _, msg := range validation.IsDNS1123Subdomain(segment) {
			f.invalid(p, "signerName", path, "validating label \""+segment+"\": "+msg)
		}
	}
}

func signingRequestCreate(c *certificatesv1.CertificateSigningRequest) *faults {
	f := metadata(&c.ObjectMeta, cluster, segmentName)
	signingRequest(f, c)
	return f
}

func signingRequest(f *faults, c *certificatesv1.CertificateSigningRequest) {
	p := field.NewPath("spec")
	if err := parsePKCS10(c.Spec.Request); err != nil {
		f.invalid(p, "request", c.Spec.Request, err.Error())
	}
	if len(c.Spec.Usages) == 0 {
		f.required(p, "usages", "")
	}
	known := keyUsages()
	for i, u := range c.Spec.Usages {
		at := p.Child("usages").Index(i)
		if !slices.Contains(known, u) {
			f.add(field.NotSupported(at, u, known))
		}
		if slices.Contains(c.Spec.Usages[:i], u) {
			f.duplicate(at, "", u)
		}
	}
	if c.Spec.SignerName == legacySigner {
		f.invalid(p, "signerName", c.Spec.SignerName, "the legacy signerName is not allowed via this API version")
	} else {
		signerName(f, c.Spec.SignerName, p)
	}
	if s := c.Spec.ExpirationSeconds; s != nil && *s < minSigningSeconds {
		f.invalid(p, "expirationSeconds", *s, fmt.Sprintf("may not specify a duration less than %d seconds (10 minutes)", minSigningSeconds))
	}
}

func keyUsages() []certificatesv1.KeyUsage {
	return []certificatesv1.KeyUsage{
		certificatesv1.UsageAny, certificatesv1.UsageCertSign, certificatesv1.UsageClientAuth, certificatesv1.UsageCodeSigning,
		certificatesv1.UsageContentCommitment, certificatesv1.UsageCRLSign, certificatesv1.UsageDataEncipherment, certificatesv1.UsageDecipherOnly,
		certificatesv1.UsageDigitalSignature, certificatesv1.UsageEmailProtection, certificatesv1.UsageEncipherOnly, certificatesv1.UsageIPsecEndSystem,
		certificatesv1.UsageIPsecTunnel, certificatesv1.UsageIPsecUser, certificatesv1.UsageKeyAgreement, certificatesv1.UsageKeyEncipherment,
		certificatesv1.UsageMicrosoftSGC, certificatesv1.UsageNetscapeSGC, certificatesv1.UsageOCSPSigning, certificatesv1.UsageSMIME,
		certificatesv1.UsageServerAuth, certificatesv1.UsageSigning, certificatesv1.UsageTimestamping,
	}
}

func parsePKCS10(raw []byte) error {
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return errors.New("PEM block type must be CERTIFICATE REQUEST")
	}
	_, err := x509.ParseCertificateRequest(block.Bytes)
	return err
}

// signingRequestUpdate checks any update but one of approval or status: nothing may happen to the conditions.
func signingRequestUpdate(c, old *certificatesv1.CertificateSigningRequest) *faults {
	return signingConditions(c, old, false, false)
}

// signingApproval may approve or deny.
func signingApproval(c, old *certificatesv1.CertificateSigningRequest) *faults {
	return signingConditions(c, old, true, false)
}

// signingStatus may deliver the certificate.
func signingStatus(c, old *certificatesv1.CertificateSigningRequest) *faults {
	f := signingConditions(c, old, false, true)
	return f
}

func signingConditions(c, old *certificatesv1.CertificateSigningRequest, decide, certify bool) *faults {
	f := metadataUpdate(&c.ObjectMeta, &old.ObjectMeta)
	p := field.NewPath("status", "conditions")
	for _, t := range []certificatesv1.RequestConditionType{certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed} {
		now, before := ofType(c, t), ofType(old, t)
		switch {
		case len(now) < len(before):
			f.forbidden(p, "", fmt.Sprintf("updates may not remove a condition of type %q", t))
		case t != certificatesv1.CertificateFailed && !decide && len(now) > len(before):
			f.forbidden(p, "", fmt.Sprintf("updates may not add a condition of type %q", t))
		case len(now) == len(before) && !same(now, before) && t != certificatesv1.CertificateFailed:
			f.forbidden(p, "", fmt.Sprintf("updates may not modify a condition of type %q", t))
		}
	}
	signingState(f, c, old)
	if !slices.Equal(c.Status.Certificate, old.Status.Certificate) {
		at := field.NewPath("status")
		switch {
		case !certify:
			f.forbidden(at, "certificate", "updates may not set certificate content")
		case len(old.Status.Certificate) > 0:
			f.forbidden(at, "certificate", "updates may not modify existing certificate content")
		default:
			if err := onlyCertificates(c.Status.Certificate); err != nil {
				f.invalid(at, "certificate", "<certificate data>", err.Error())
			}
		}
	}
	return f
}

func ofType(c *certificatesv1.CertificateSigningRequest, t certificatesv1.RequestConditionType) []certificatesv1.CertificateSigningRequestCondition {
	var out []certificatesv1.CertificateSigningRequestCondition
	for _, x := range c.Status.Conditions {
		if x.Type == t {
			out = append(out, x)
		}
	}
	return out
}

func signingState(f *faults, c, old *certificatesv1.CertificateSigningRequest) {
	p := field.NewPath("status", "conditions")
	approved, denied := len(ofType(c, certificatesv1.CertificateApproved)) > 0, len(ofType(c, certificatesv1.CertificateDenied)) > 0
	was := len(ofType(old, certificatesv1.CertificateApproved)) > 0 && len(ofType(old, certificatesv1.CertificateDenied)) > 0
	if approved && denied && !was {
		f.invalid(p, "", certificatesv1.CertificateDenied, "Approved and Denied conditions are mutually exclusive")
	}
	var types seen[certificatesv1.RequestConditionType]
	for i, x := range c.Status.Conditions {
		at := p.Index(i)
		f.present(at, "type", string(x.Type))
		switch x.Type {
		case certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed:
			if x.Status != corev1.ConditionTrue {
				requireOneOf(f, at, "status", x.Status, corev1.ConditionTrue)
			}
		default:
			requireOneOf(f, at, "status", x.Status, corev1.ConditionFalse, corev1.ConditionTrue, corev1.ConditionUnknown)
		}
		if types.again(x.Type) {
			f.duplicate(at, "type", x.Type)
		}
	}
}

// onlyCertificates accepts PEM that holds one certificate or more and nothing else.
func onlyCertificates(raw []byte) error {
	found := false
	for len(raw) > 0 {
		var block *pem.Block
		block, raw = pem.Decode(raw)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("only CERTIFICATE PEM blocks are allowed, found %q", block.Type)
		}
		if len(block.Headers) > 0 {
			return errors.New("no PEM block headers are permitted")
		}
		certs, err := x509.ParseCertificates(block.Bytes)
		if err != nil {
			return err
		}
		if len(certs) == 0 {
			return errors.New("found CERTIFICATE PEM block containing 0 certificates")
		}
		found = true
	}
	if !found {
		return errors.New("must contain at least one CERTIFICATE PEM block")
	}
	return nil
}
