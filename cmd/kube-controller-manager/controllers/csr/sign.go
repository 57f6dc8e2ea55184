package csr

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	certificatesinformers "k8s.io/client-go/informers/certificates/v1"
	"k8s.io/client-go/kubernetes"

	"pilotis.dev/pkg/reconcile"
)

// backdate lets clocks differ a little.
const backdate = 5 * time.Minute

// shortest is the least validity that a request may ask for (API reference of spec.expirationSeconds).
const shortest = 10 * time.Minute

// Signer signs the approved requests of the signer names in Checks with a CA read from files at each use, so that a
// renewed one is taken up.
type Signer struct {
	CertFile, KeyFile string
	Duration          time.Duration // longest validity
	// Names are the signer names served.
	Names []string
	Now   func() time.Time
}

// NewSigning signs approved requests.
func NewSigning(name string, s Signer, requests certificatesinformers.CertificateSigningRequestInformer, client kubernetes.Interface) *reconcile.Controller {
	if s.Now == nil {
		s.Now = time.Now
	}
	c := reconcile.New(name, reconcile.Func(func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
		r, err := requests.Lister().Get(key.Name)
		if err != nil {
			return reconcile.Result{}, reconcile.IgnoreNotFound(err)
		}
		if !slices.Contains(s.Names, r.Spec.SignerName) || len(r.Status.Certificate) > 0 || !condition(r, certificatesv1.CertificateApproved) ||
			condition(r, certificatesv1.CertificateDenied) || condition(r, certificatesv1.CertificateFailed) {
			return reconcile.Result{}, nil
		}
		done := r.DeepCopy()
		certificate, err := s.issue(r)
		var refused *refusal
		switch {
		case errors.As(err, &refused):
			done.Status.Conditions = append(done.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
				Type: certificatesv1.CertificateFailed, Status: v1.ConditionTrue, Reason: "SignerValidationFailure", Message: refused.Error(), LastUpdateTime: metav1.Now(),
			})
		case err != nil:
			return reconcile.Result{}, err
		default:
			done.Status.Certificate = certificate
		}
		_, err = client.CertificatesV1().CertificateSigningRequests().UpdateStatus(ctx, done, metav1.UpdateOptions{})
		return reconcile.Result{}, reconcile.IgnoreNotFound(err)
	}), reconcile.Options{Workers: 2})
	c.Watch(requests.Informer(), keyOf)
	return c
}

// refusal is a fault of the request itself: trying again does not help.
type refusal struct{ error }

func (s Signer) issue(r *certificatesv1.CertificateSigningRequest) ([]byte, error) {
	request, err := parse(r.Spec.Request)
	if err != nil {
		return nil, &refusal{err}
	}
	if err := check(r, request); err != nil {
		return nil, &refusal{err}
	}
	ca, key, err := s.authority()
	if err != nil {
		return nil, err
	}
	duration := s.Duration
	if e := r.Spec.ExpirationSeconds; e != nil {
		duration = min(duration, max(shortest, time.Duration(*e)*time.Second))
	}
	now := s.Now().UTC()
	notAfter := now.Add(duration)
	if notAfter.After(ca.NotAfter) {
		notAfter = ca.NotAfter
	}
	if !notAfter.After(now) {
		return nil, fmt.Errorf("the CA certificate in %s has expired on %s: renew it", s.CertFile, ca.NotAfter)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: request.Subject, DNSNames: request.DNSNames, IPAddresses: request.IPAddresses, EmailAddresses: request.EmailAddresses, URIs: request.URIs,
		PublicKey: request.PublicKey, NotBefore: now.Add(-backdate), NotAfter: notAfter, BasicConstraintsValid: true,
	}
	template.KeyUsage, template.ExtKeyUsage, err = usages(r.Spec.Usages)
	if err != nil {
		return nil, &refusal{err}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, request.PublicKey, key)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	return out.Bytes(), err
}

func (s Signer) authority() (*x509.Certificate, crypto.Signer, error) {
	certPEM, err := os.ReadFile(s.CertFile)
	if err != nil {
		return nil, nil, fmt.Errorf("CA certificate: %w", err)
	}
	keyPEM, err := os.ReadFile(s.KeyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("CA key: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, nil, fmt.Errorf("CA in %s and %s: %w", s.CertFile, s.KeyFile, err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("the CA key in %s cannot sign", s.KeyFile)
	}
	return pair.Leaf, signer, nil
}

// check holds the rules of each signer name (documentation of Kubernetes signers).
func check(r *certificatesv1.CertificateSigningRequest, request *x509.CertificateRequest) error {
	switch r.Spec.SignerName {
	case certificatesv1.KubeAPIServerClientKubeletSignerName:
		return checkNodeClient(r.Spec.Usages, request)
	case certificatesv1.KubeletServingSignerName:
		if !slices.Equal(request.Subject.Organization, []string{"system:nodes"}) || !strings.HasPrefix(request.Subject.CommonName, "system:node:") {
			return errors.New("subject must have organization system:nodes and a common name that begins with \"system:node:\"")
		}
		if len(request.DNSNames)+len(request.IPAddresses) == 0 {
			return errors.New("a DNS name or IP address is needed")
		}
		if len(request.EmailAddresses)+len(request.URIs) > 0 {
			return errors.New("email and URI names are not allowed")
		}
		return checkUsages(r.Spec.Usages, certificatesv1.UsageServerAuth)
	case certificatesv1.KubeAPIServerClientSignerName:
		return checkUsages(r.Spec.Usages, certificatesv1.UsageClientAuth)
	}
	return nil // kubernetes.io/legacy-unknown trusts its approver
}

// usages translates the API's names.
func usages(list []certificatesv1.KeyUsage) (x509.KeyUsage, []x509.ExtKeyUsage, error) {
	key := map[certificatesv1.KeyUsage]x509.KeyUsage{
		certificatesv1.UsageSigning: x509.KeyUsageDigitalSignature, certificatesv1.UsageDigitalSignature: x509.KeyUsageDigitalSignature,
		certificatesv1.UsageContentCommitment: x509.KeyUsageContentCommitment, certificatesv1.UsageKeyEncipherment: x509.KeyUsageKeyEncipherment,
		certificatesv1.UsageKeyAgreement: x509.KeyUsageKeyAgreement, certificatesv1.UsageDataEncipherment: x509.KeyUsageDataEncipherment,
		certificatesv1.UsageCertSign: x509.KeyUsageCertSign, certificatesv1.UsageCRLSign: x509.KeyUsageCRLSign,
		certificatesv1.UsageEncipherOnly: x509.KeyUsageEncipherOnly, certificatesv1.UsageDecipherOnly: x509.KeyUsageDecipherOnly,
	}
	extended := map[certificatesv1.KeyUsage]x509.ExtKeyUsage{
		certificatesv1.UsageAny: x509.ExtKeyUsageAny, certificatesv1.UsageServerAuth: x509.ExtKeyUsageServerAuth, certificatesv1.UsageClientAuth: x509.ExtKeyUsageClientAuth,
		certificatesv1.UsageCodeSigning: x509.ExtKeyUsageCodeSigning, certificatesv1.UsageEmailProtection: x509.ExtKeyUsageEmailProtection, certificatesv1.UsageSMIME: x509.ExtKeyUsageEmailProtection,
		certificatesv1.UsageIPsecEndSystem: x509.ExtKeyUsageIPSECEndSystem, certificatesv1.UsageIPsecTunnel: x509.ExtKeyUsageIPSECTunnel, certificatesv1.UsageIPsecUser: x509.ExtKeyUsageIPSECUser,
		certificatesv1.UsageTimestamping: x509.ExtKeyUsageTimeStamping, certificatesv1.UsageOCSPSigning: x509.ExtKeyUsageOCSPSigning,
		certificatesv1.UsageMicrosoftSGC: x509.ExtKeyUsageMicrosoftServerGatedCrypto, certificatesv1.UsageNetscapeSGC: x509.ExtKeyUsageNetscapeServerGatedCrypto,
	}
	var k x509.KeyUsage
	var e []x509.ExtKeyUsage
	for _, u := range list {
		if bit, ok := key[u]; ok {
			k |= bit
		} else if purpose, ok := extended[u]; ok {
			if !slices.Contains(e, purpose) {
				e = append(e, purpose)
			}
		} else {
			return 0, nil, fmt.Errorf("unrecognized usage %q", u)
		}
	}
	return k, e, nil
}
