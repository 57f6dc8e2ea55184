package certs

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"time"
)

const (
	// CAValidity and LeafValidity are the lifetimes a cluster uses unless it is told otherwise.
	CAValidity   = 10 * 365 * 24 * time.Hour
	LeafValidity = 365 * 24 * time.Hour
	// ClockSkew is how far a certificate's start lies in the past, so that a node whose clock runs a little late accepts it.
	ClockSkew = 5 * time.Minute
)

// Spec says what a certificate shall be. Now is the moment of issue; Validity counts from it.
type Spec struct {
	CommonName    string
	Organizations []string
	Usages        []x509.ExtKeyUsage
	DNSNames      []string
	IPs           []net.IP
	Now           time.Time
	Validity      time.Duration
	Algorithm     Algorithm
}

// Pair is a certificate with its private key. A Pair read from a node whose CA key is kept elsewhere has a nil Key.
type Pair struct {
	Cert *x509.Certificate
	Key  crypto.Signer
}

// NewCA makes a self-signed authority with a fresh key.
func NewCA(spec Spec) (*Pair, error) {
	key, err := NewKey(spec.Algorithm)
	if err != nil {
		return nil, err
	}
	if spec.Validity == 0 {
		spec.Validity = CAValidity
	}
	template, err := spec.template()
	if err != nil {
		return nil, err
	}
	template.KeyUsage = x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign
	template.BasicConstraintsValid = true
	template.IsCA = true
	return create(template, template, key, key)
}

// Sign makes a leaf certificate with a fresh key. The leaf never outlives its authority.
func (ca *Pair) Sign(spec Spec) (*Pair, error) {
	key, err := NewKey(spec.Algorithm)
	if err != nil {
		return nil, err
	}
	return ca.SignKey(spec, key)
}

// SignKey makes a leaf certificate over an existing key.
func (ca *Pair) SignKey(spec Spec, key crypto.Signer) (*Pair, error) {
	if ca.Key == nil {
		return nil, fmt.Errorf("cannot sign %q: the key of authority %q is not on this machine", spec.CommonName, ca.Cert.Subject.CommonName)
	}
	if len(spec.Usages) == 0 {
		return nil, fmt.Errorf("certificate %q must name at least one extended key usage", spec.CommonName)
	}
	if spec.Validity == 0 {
		spec.Validity = LeafValidity
	}
	template, err := spec.template()
	if err != nil {
		return nil, err
	}
	if template.NotAfter.After(ca.Cert.NotAfter) {
		template.NotAfter = ca.Cert.NotAfter
	}
	template.KeyUsage = x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	return create(template, ca.Cert, key, ca.Key)
}

// SelfSigned makes a server's certificate that nobody has to know beforehand, with an authority of its own behind it, and its
// key, both in PEM.
func SelfSigned(spec Spec) (chain, key []byte, err error) {
	spec.Usages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	ca, err := NewCA(Spec{CommonName: spec.CommonName + "-ca", Now: spec.Now, Validity: spec.Validity, Algorithm: spec.Algorithm})
	if err != nil {
		return nil, nil, err
	}
	leaf, err := ca.Sign(spec)
	if err != nil {
		return nil, nil, err
	}
	key, err = EncodeKey(leaf.Key)
	return EncodeCert(leaf.Cert, ca.Cert), key, err
}

func (spec Spec) template() (*x509.Certificate, error) {
	if spec.CommonName == "" {
		return nil, errors.New("a certificate must have a common name")
	}
	if spec.Now.IsZero() {
		spec.Now = time.Now()
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 62))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		Subject:      pkix.Name{CommonName: spec.CommonName, Organization: spec.Organizations},
		DNSNames:     spec.DNSNames,
		IPAddresses:  spec.IPs,
		NotBefore:    spec.Now.Add(-ClockSkew).UTC(),
		NotAfter:     spec.Now.Add(spec.Validity).UTC(),
		ExtKeyUsage:  spec.Usages,
	}, nil
}

func create(template, parent *x509.Certificate, key, signer crypto.Signer) (*Pair, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Pair{Cert: cert, Key: key}, nil
}

// SpecOf returns the Spec that would issue a certificate like cert again: same subject, names and usages. Validity and Now are
// left to the caller.
func SpecOf(cert *x509.Certificate) Spec {
	return Spec{
		CommonName:    cert.Subject.CommonName,
		Organizations: cert.Subject.Organization,
		Usages:        cert.ExtKeyUsage,
		DNSNames:      cert.DNSNames,
		IPs:           cert.IPAddresses,
	}
}

// NewRequest makes a key and a PKCS#10 request for an authority outside the cluster.
func NewRequest(spec Spec) (csr []byte, key crypto.Signer, err error) {
	key, err = NewKey(spec.Algorithm)
	if err != nil {
		return nil, nil, err
	}
	csr, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject:     pkix.Name{CommonName: spec.CommonName, Organization: spec.Organizations},
		DNSNames:    spec.DNSNames,
		IPAddresses: spec.IPs,
	}, key)
	return csr, key, err
}

// CheckTime says whether cert can be used at now; the error names both bounds.
func CheckTime(cert *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(cert.NotBefore):
		return fmt.Errorf("certificate %q is not valid before %s: check this machine's clock", cert.Subject.CommonName, cert.NotBefore.Format(time.RFC3339))
	case now.After(cert.NotAfter):
		return fmt.Errorf("certificate %q expired on %s: renew it", cert.Subject.CommonName, cert.NotAfter.Format(time.RFC3339))
	}
	return nil
}

// CheckChain says whether cert was signed by ca.
func CheckChain(cert, ca *x509.Certificate) error {
	if err := cert.CheckSignatureFrom(ca); err != nil {
		return fmt.Errorf("certificate %q was not signed by %q: %w", cert.Subject.CommonName, ca.Subject.CommonName, err)
	}
	return nil
}

// CheckNames says whether cert covers every DNS name and IP; the error lists those it lacks.
func CheckNames(cert *x509.Certificate, dns []string, ips []net.IP) error {
	var missing []string
	for _, name := range dns {
		if err := cert.VerifyHostname(name); err != nil {
			missing = append(missing, name)
		}
	}
	for _, ip := range ips {
		if err := cert.VerifyHostname(ip.String()); err != nil {
			missing = append(missing, ip.String())
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("certificate %q lacks the names %s", cert.Subject.CommonName, strings.Join(missing, ", "))
	}
	return nil
}

// PinPrefix starts every public key pin; no other hash is known.
const PinPrefix = "sha256:"

// Pin returns the hash of a certificate's public key in the form of --discovery-token-ca-cert-hash: "sha256:" and the hex
// SHA-256 of the Subject Public Key Info (RFC 7469 without base64).
func Pin(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return PinPrefix + hex.EncodeToString(sum[:])
}
