package daemons

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Certificates are those that kubeadm makes, with the kubeconfigs of a cluster's administrators and daemons.
type Certificates struct {
	// Dir holds the kubeconfigs, and the certificates and keys in pki/.
	Dir string
}

// NewCertificates makes them for an API server at a port of loopback.
func NewCertificates(dir string, port int) (Certificates, error) {
	c := Certificates{Dir: dir}
	configuration := filepath.Join(dir, "kubeadm.yaml")
	if err := os.WriteFile(configuration, fmt.Appendf(nil, `
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: 127.0.0.1, bindPort: %d}
nodeRegistration: {name: alone}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.37.2
certificatesDir: %s
`, port, filepath.Join(dir, "pki")), 0o600); err != nil {
		return c, err
	}
	for _, phase := range [][]string{{"certs", "all"}, {"kubeconfig", "all", "--kubeconfig-dir=" + dir}} {
		args := append(append([]string{"init", "phase"}, phase...), "--config="+configuration)
		if out, err := exec.Command(Program("kubeadm"), args...).CombinedOutput(); err != nil {
			return c, fmt.Errorf("kubeadm %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return c, nil
}

// At is the path of a certificate or key, such as etcd/ca.crt.
func (c Certificates) At(name string) string { return filepath.Join(c.Dir, "pki", name) }

// Kubeconfig is the path of a kubeconfig, such as super-admin.conf.
func (c Certificates) Kubeconfig(name string) string { return filepath.Join(c.Dir, name) }

// Sign makes a client certificate with an authority, such as ca or front-proxy-ca.
func (c Certificates) Sign(authority, user string, groups ...string) (certificate, key []byte, err error) {
	signer, err := readPEM(c.At(authority + ".crt"))
	if err != nil {
		return nil, nil, err
	}
	ca, err := x509.ParseCertificate(signer)
	if err != nil {
		return nil, nil, err
	}
	secret, err := readPEM(c.At(authority + ".key"))
	if err != nil {
		return nil, nil, err
	}
	caKey, err := parseKey(secret)
	if err != nil {
		return nil, nil, err
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: user, Organization: groups},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca, &own.PublicKey, caKey)
	if err != nil {
		return nil, nil, err
	}
	ownDER, err := x509.MarshalECPrivateKey(own)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: ownDER}), nil
}

func readPEM(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM", path)
	}
	return block.Bytes, nil
}

// parseKey takes the forms in which kubeadm writes keys.
func parseKey(der []byte) (any, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	return x509.ParsePKCS8PrivateKey(der)
}
