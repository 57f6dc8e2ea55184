package tokens

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"

	jose "gopkg.in/go-jose/go-jose.v2"
	"gopkg.in/go-jose/go-jose.v2/jwt"
)

// Signer signs tokens of one issuer with one key.
type Signer struct {
	issuer string
	signer jose.Signer
}

// NewSigner returns a signer for an RSA or ECDSA private key.
func NewSigner(issuer string, key crypto.PrivateKey) (*Signer, error) {
	s, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("service account signing key: %T cannot sign", key)
	}
	alg, err := Algorithm(s.Public())
	if err != nil {
		return nil, err
	}
	id, err := KeyID(s.Public())
	if err != nil {
		return nil, err
	}
	js, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: id, Algorithm: string(alg)}}, nil)
	if err != nil {
		return nil, fmt.Errorf("service account signing key: %w", err)
	}
	return &Signer{issuer: issuer, signer: js}, nil
}

// Issuer is the value of the iss claim.
func (s *Signer) Issuer() string { return s.issuer }

// Sign returns the compact form of a token.
func (s *Signer) Sign(registered jwt.Claims, private any) (string, error) {
	registered.Issuer = s.issuer
	return jwt.Signed(s.signer).Claims(private).Claims(registered).CompactSerialize()
}

// KeyID names a public key by its hash, so that whoever signs and whoever verifies agree without talking.
func KeyID(public any) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("service account key: %w", err)
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// Algorithm is the one signature algorithm that is used with a public key.
func Algorithm(public any) (jose.SignatureAlgorithm, error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return jose.RS256, nil
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return jose.ES256, nil
		case elliptic.P384():
			return jose.ES384, nil
		case elliptic.P521():
			return jose.ES512, nil
		}
		return "", fmt.Errorf("service account key: curve %s is not one of P-256, P-384, P-521", key.Curve.Params().Name)
	}
	return "", fmt.Errorf("service account key: %T is neither RSA nor ECDSA", public)
}
