package admission

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// signerPlugin is what the plugins of certificates share: they ask whether a user holds a verb on a signer.
type signerPlugin struct {
	*admission.Handler
	authorizer authorizer.UnconditionalAuthorizer
}

// SetUnconditionalAuthorizer implements initializer.WantsUnconditionalAuthorizer.
func (p *signerPlugin) SetUnconditionalAuthorizer(z authorizer.UnconditionalAuthorizer) {
	p.authorizer = z
}

// ValidateInitialization implements admission.InitializationValidator.
func (p *signerPlugin) ValidateInitialization() error { return needs(p.authorizer, "an authorizer") }

// may asks for the signer itself and, should that fail, for all signers of its domain: "example.com/*".
func (p *signerPlugin) may(ctx context.Context, u user.Info, verb, signer string) bool {
	names := []string{signer}
	if domain, _, ok := strings.Cut(signer, "/"); ok {
		names = append(names, domain+"/*")
	}
	for _, name := range names {
		decision, _, err := p.authorizer.Authorize(ctx, authorizer.AttributesRecord{
			User: u, Verb: verb, Name: name, APIGroup: certificatesv1.GroupName, APIVersion: "*", Resource: "signers", ResourceRequest: true,
		})
		if err == nil && decision == authorizer.DecisionAllow {
			return true
		}
	}
	return false
}

// certificateApproval lets only those approve or deny a request who hold "approve" on its signer.
type certificateApproval struct{ signerPlugin }

func newCertificateApproval(io.Reader) (admission.Interface, error) {
	return &certificateApproval{signerPlugin{Handler: admission.NewHandler(admission.Update)}}, nil
}

// Validate implements admission.ValidationInterface.
func (p *certificateApproval) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !isSub(a, certificatesv1.GroupName, "certificatesigningrequests", "approval") {
		return nil
	}
	// the stored signer counts, not the one in the update
	csr, err := oldObject[*certificatesv1.CertificateSigningRequest](a)
	if err != nil {
		return err
	}
	if !p.may(ctx, a.GetUserInfo(), "approve", csr.Spec.SignerName) {
		return admission.NewForbidden(a, fmt.Errorf("user not permitted to approve requests with signerName %q", csr.Spec.SignerName))
	}
	return nil
}

// certificateSigning lets only those issue a certificate, or mark a request as failed, who hold "sign" on its signer.
type certificateSigning struct{ signerPlugin }

func newCertificateSigning(io.Reader) (admission.Interface, error) {
	return &certificateSigning{signerPlugin{Handler: admission.NewHandler(admission.Update)}}, nil
}

// Validate implements admission.ValidationInterface.
func (p *certificateSigning) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	switch {
	case isSub(a, certificatesv1.GroupName, "certificatesigningrequests", "status"):
		old, err := oldObject[*certificatesv1.CertificateSigningRequest](a)
		if err != nil {
			return err
		}
		csr, err := object[*certificatesv1.CertificateSigningRequest](a)
		if err != nil {
			return err
		}
		if bytes.Equal(csr.Status.Certificate, old.Status.Certificate) && sameFailures(csr.Status.Conditions, old.Status.Conditions) {
			return nil
		}
		return p.check(ctx, a, old.Spec.SignerName)
	case isSub(a, certificatesv1.GroupName, "podcertificaterequests", "status"):
		old, err := oldObject[*certificatesv1.PodCertificateRequest](a)
		if err != nil {
			return err
		}
		req, err := object[*certificatesv1.PodCertificateRequest](a)
		if err != nil {
			return err
		}
		if reflect.DeepEqual(req.Status, old.Status) {
			return nil
		}
		return p.check(ctx, a, old.Spec.SignerName)
	}
	return nil
}

func (p *certificateSigning) check(ctx context.Context, a admission.Attributes, signer string) error {
	if !p.may(ctx, a.GetUserInfo(), "sign", signer) {
		return admission.NewForbidden(a, fmt.Errorf("user not permitted to sign requests with signerName %q", signer))
	}
	return nil
}

func sameFailures(a, b []certificatesv1.CertificateSigningRequestCondition) bool {
	failures := func(all []certificatesv1.CertificateSigningRequestCondition) (out []certificatesv1.CertificateSigningRequestCondition) {
		for _, c := range all {
			if c.Type == certificatesv1.CertificateFailed {
				out = append(out, c)
			}
		}
		return out
	}
	return reflect.DeepEqual(failures(a), failures(b))
}

// clusterTrustBundleAttest lets only those write a bundle of a signer who hold "attest" on it.
type clusterTrustBundleAttest struct{ signerPlugin }

func newClusterTrustBundleAttest(io.Reader) (admission.Interface, error) {
	return &clusterTrustBundleAttest{signerPlugin{Handler: admission.NewHandler(admission.Create, admission.Update)}}, nil
}

// Validate implements admission.ValidationInterface.
func (p *clusterTrustBundleAttest) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !is(a, certificatesv1.GroupName, "clustertrustbundles") {
		return nil
	}
	bundle, err := object[*certificatesv1.ClusterTrustBundle](a)
	if err != nil {
		return err
	}
	if a.GetOperation() == admission.Update {
		old, err := oldObject[*certificatesv1.ClusterTrustBundle](a)
		if err != nil {
			return err
		}
		if onlyGarbageCollection(bundle, old) {
			return nil
		}
	}
	if bundle.Spec.SignerName == "" {
		return nil
	}
	if !p.may(ctx, a.GetUserInfo(), "attest", bundle.Spec.SignerName) {
		return admission.NewForbidden(a, fmt.Errorf("user not permitted to attest for signerName %q", bundle.Spec.SignerName))
	}
	return nil
}

// certificateSubjectRestriction refuses client certificates for system:masters, whose rights nothing can take away.
type certificateSubjectRestriction struct{ *admission.Handler }

func newCertificateSubjectRestriction(io.Reader) (admission.Interface, error) {
	return certificateSubjectRestriction{admission.NewHandler(admission.Create)}, nil
}

// Validate implements admission.ValidationInterface.
func (certificateSubjectRestriction) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if !is(a, certificatesv1.GroupName, "certificatesigningrequests") {
		return nil
	}
	csr, err := object[*certificatesv1.CertificateSigningRequest](a)
	if err != nil {
		return err
	}
	if csr.Spec.SignerName != certificatesv1.KubeAPIServerClientSignerName {
		return nil
	}
	request, err := parseCSR(csr.Spec.Request)
	if err != nil {
		return admission.NewForbidden(a, fmt.Errorf("failed to parse CSR: %w", err))
	}
	if slices.Contains(request.Subject.Organization, user.SystemPrivilegedGroup) {
		return admission.NewForbidden(a, fmt.Errorf("use of %s signer with %s group is not allowed", csr.Spec.SignerName, user.SystemPrivilegedGroup))
	}
	return nil
}

// parseCSR reads a PEM block of type CERTIFICATE REQUEST.
func parseCSR(data []byte) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("PEM block type must be CERTIFICATE REQUEST")
	}
	return x509.ParseCertificateRequest(block.Bytes)
}
