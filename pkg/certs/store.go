package certs

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	certutil "k8s.io/client-go/util/cert"
)

const (
	modeSecret = 0o600
	modePublic = 0o644
)

// EncodeCert returns certificates as PEM, in order.
func EncodeCert(certificates ...*x509.Certificate) []byte {
	var out []byte
	for _, cert := range certificates {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: certutil.CertificateBlockType, Bytes: cert.Raw})...)
	}
	return out
}

// EncodeRequest returns a PKCS#10 request as PEM.
func EncodeRequest(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certutil.CertificateRequestBlockType, Bytes: der})
}

// ParseCerts reads every certificate of a PEM file; at least one is required.
func ParseCerts(data []byte) ([]*x509.Certificate, error) { return certutil.ParseCertsPEM(data) }

// CertPath and KeyPath are where a pair of that name lies; the name may hold a folder ("etcd/ca").
func CertPath(dir, name string) string { return filepath.Join(dir, name+".crt") }
func KeyPath(dir, name string) string  { return filepath.Join(dir, name+".key") }

// WritePair stores a certificate and, when there is one, its key. The key is written first: a certificate on disk always has
// its key beside it.
func WritePair(dir, name string, pair *Pair) error {
	if pair.Key != nil {
		if err := WriteKey(KeyPath(dir, name), pair.Key); err != nil {
			return err
		}
	}
	return WriteFile(CertPath(dir, name), EncodeCert(pair.Cert), modePublic)
}

// WriteKey stores a private key, readable by its owner alone.
func WriteKey(path string, key crypto.Signer) error {
	data, err := EncodeKey(key)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return WriteFile(path, data, modeSecret)
}

// ReadCert reads the first certificate of a file.
func ReadCert(path string) (*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	list, err := ParseCerts(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return list[0], nil
}

// ReadKey reads a private key file.
func ReadKey(path string) (crypto.Signer, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := ParseKey(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// ReadPair reads a certificate and its key. A missing key is no error (an authority may be kept elsewhere); a key that belongs
// to another certificate is ErrKeyMismatch. A missing certificate satisfies errors.Is(err, fs.ErrNotExist).
func ReadPair(dir, name string) (*Pair, error) {
	cert, err := ReadCert(CertPath(dir, name))
	if err != nil {
		return nil, err
	}
	key, err := ReadKey(KeyPath(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return &Pair{Cert: cert}, nil
	}
	if err != nil {
		return nil, err
	}
	if !KeyMatches(key, cert.PublicKey) {
		return nil, fmt.Errorf("%s: %w", KeyPath(dir, name), ErrKeyMismatch)
	}
	return &Pair{Cert: cert, Key: key}, nil
}

// WriteFile replaces path in one step: a reader sees the old content or the new, never a part. Missing folders are made.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Chmod(mode)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return os.Rename(tmp.Name(), path)
}
