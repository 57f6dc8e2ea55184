package serviceaccount

import (
	"crypto"
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
	alg, err := algorithm(s.Public())
	if err != nil {
		return nil, err
	}
	id, err := keyID(s.Public())
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

// sign returns the compact form of a token.
func (s *Signer) sign(registered jwt.Claims, private any) (string, error) {
	registered.Issuer = s.issuer
	return jwt.Signed(s.signer).Claims(private).Claims(registered).CompactSerialize()
}
