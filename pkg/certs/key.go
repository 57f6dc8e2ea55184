package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"k8s.io/client-go/util/keyutil"
)

// Algorithm names a kind and size of private key as ClusterConfiguration.encryptionAlgorithm spells it.
type Algorithm string

const (
	RSA2048   Algorithm = "RSA-2048"
	RSA3072   Algorithm = "RSA-3072"
	RSA4096   Algorithm = "RSA-4096"
	ECDSAP256 Algorithm = "ECDSA-P256"
	ECDSAP384 Algorithm = "ECDSA-P384"
)

// Algorithms lists every algorithm NewKey knows, the default first.
func Algorithms() []Algorithm {
	return []Algorithm{RSA2048, RSA3072, RSA4096, ECDSAP256, ECDSAP384}
}

// NewKey makes a private key; the empty algorithm means RSA-2048.
func NewKey(alg Algorithm) (crypto.Signer, error) {
	switch alg {
	case "", RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	case ECDSAP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ECDSAP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	}
	return nil, fmt.Errorf("unknown key algorithm %q: use one of %v", alg, Algorithms())
}

// EncodeKey returns the key as PEM: "RSA PRIVATE KEY" (PKCS#1) or "EC PRIVATE KEY" (SEC 1), the forms every Kubernetes
// component reads.
func EncodeKey(key crypto.Signer) ([]byte, error) {
	return keyutil.MarshalPrivateKeyToPEM(key)
}

// ParseKey reads the first private key of a PEM file (PKCS#1, SEC 1 or PKCS#8).
func ParseKey(data []byte) (crypto.Signer, error) {
	parsed, err := keyutil.ParsePrivateKeyPEM(data)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T cannot sign: use an RSA or ECDSA key", parsed)
	}
	return key, nil
}

// EncodePublicKey returns a public key as a PKIX "PUBLIC KEY" PEM block, the form of sa.pub.
func EncodePublicKey(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// ErrKeyMismatch says that a private key does not belong to a certificate or public key.
var ErrKeyMismatch = errors.New("the private key does not belong to the certificate")

// publicKey is what every public key of the standard library offers for comparison.
type publicKey interface{ Equal(crypto.PublicKey) bool }

// KeyMatches reports whether key is the private half of public.
func KeyMatches(key crypto.Signer, public crypto.PublicKey) bool {
	own, ok := key.Public().(publicKey)
	return ok && own.Equal(public)
}
