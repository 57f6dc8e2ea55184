package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/certificate"
)

// ServingConfig says where the certificate of the kubelet's API comes from.
type ServingConfig struct {
	CertFile, KeyFile string // of the user; read again when they change
	Request           bool   // serverTLSBootstrap: ask the cluster's signer
	CertDir           string
	NodeName          string
	Client            kubernetes.Interface
	Addresses         func() []v1.NodeAddress
}

// ServingCertificate gives the certificate of each connection; run renews it until ctx ends.
func ServingCertificate(ctx context.Context, c ServingConfig) (get func(*tls.ClientHelloInfo) (*tls.Certificate, error), run func(context.Context), err error) {
	idle := func(ctx context.Context) { <-ctx.Done() }
	switch {
	case c.CertFile != "":
		pair, err := newFilePair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, nil, err
		}
		return pair.get, idle, nil
	case c.Request && c.Client != nil:
		return c.requested(ctx)
	}
	certFile, keyFile, err := c.selfSigned()
	if err != nil {
		return nil, nil, err
	}
	pair, err := newFilePair(certFile, keyFile)
	if err != nil {
		return nil, nil, err
	}
	return pair.get, idle, nil
}

// requested lets the cluster's signer sign the addresses that the Node has (signer kubernetes.io/kubelet-serving).
func (c ServingConfig) requested(ctx context.Context) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), func(context.Context), error) {
	store, err := certificate.NewFileStore("kubelet-server", c.CertDir, c.CertDir, "", "")
	if err != nil {
		return nil, nil, fmt.Errorf("--cert-dir %s: %w", c.CertDir, err)
	}
	manager, err := certificate.NewManager(&certificate.Config{
		ClientsetFn:      func(*tls.Certificate) (kubernetes.Interface, error) { return c.Client, nil },
		GetTemplate:      func() *x509.CertificateRequest { return servingTemplate(c.NodeName, c.Addresses()) },
		SignerName:       certificatesv1.KubeletServingSignerName,
		Usages:           []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageServerAuth},
		CertificateStore: store,
		Name:             "kubelet-server",
		Ctx:              &ctx,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("serving certificate of node %s: %w", c.NodeName, err)
	}
	get := func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if current := manager.Current(); current != nil {
			return current, nil
		}
		return nil, errors.New("no serving certificate available for the kubelet")
	}
	run := func(ctx context.Context) {
		manager.Start()
		<-ctx.Done()
		manager.Stop()
	}
	return get, run, nil
}

// servingTemplate asks for the node's names and addresses; nil while it has none.
func servingTemplate(name string, addresses []v1.NodeAddress) *x509.CertificateRequest {
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:node:" + name, Organization: []string{"system:nodes"}}}
	for _, a := range addresses {
		switch a.Type {
		case v1.NodeHostName, v1.NodeInternalDNS, v1.NodeExternalDNS:
			if ip := net.ParseIP(a.Address); ip != nil {
				template.IPAddresses = append(template.IPAddresses, ip)
			} else if !slices.Contains(template.DNSNames, a.Address) {
				template.DNSNames = append(template.DNSNames, a.Address)
			}
		case v1.NodeInternalIP, v1.NodeExternalIP:
			if ip := net.ParseIP(a.Address); ip != nil && !slices.ContainsFunc(template.IPAddresses, ip.Equal) {
				template.IPAddresses = append(template.IPAddresses, ip)
			}
		}
	}
	if len(template.DNSNames)+len(template.IPAddresses) == 0 {
		return nil
	}
	return template
}

// selfSigned makes a pair below CertDir, or finds the one that an earlier kubelet made.
func (c ServingConfig) selfSigned() (certFile, keyFile string, err error) {
	certFile, keyFile = filepath.Join(c.CertDir, "kubelet.crt"), filepath.Join(c.CertDir, "kubelet.key")
	if ok, err := cert.CanReadCertAndKey(certFile, keyFile); err != nil || ok {
		return certFile, keyFile, err
	}
	var ips []net.IP
	for _, a := range c.Addresses() {
		if ip := net.ParseIP(a.Address); ip != nil {
			ips = append(ips, ip)
		}
	}
	certPEM, keyPEM, err := cert.GenerateSelfSignedCertKey(c.NodeName, ips, nil)
	if err != nil {
		return "", "", fmt.Errorf("unable to generate self signed cert: %w", err)
	}
	if err := cert.WriteCert(certFile, certPEM); err != nil {
		return "", "", err
	}
	const ownerOnly = 0o600
	return certFile, keyFile, os.WriteFile(keyFile, keyPEM, ownerOnly)
}

// filePair is a pair on disk, read again after its files changed.
type filePair struct {
	certFile, keyFile string

	mu      sync.Mutex
	pair    *tls.Certificate
	changed time.Time
}

func newFilePair(certFile, keyFile string) (*filePair, error) {
	p := &filePair{certFile: certFile, keyFile: keyFile}
	if _, err := p.get(nil); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *filePair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var newest time.Time
	for _, f := range []string{p.certFile, p.keyFile} {
		info, err := os.Stat(f)
		if err != nil {
			if p.pair != nil {
				return p.pair, nil
			}
			return nil, fmt.Errorf("serving certificate: %w", err)
		}
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	if p.pair != nil && newest.Equal(p.changed) {
		return p.pair, nil
	}
	pair, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	if err != nil {
		if p.pair != nil {
			return p.pair, nil // half written; the next connection looks again
		}
		return nil, fmt.Errorf("serving certificate %s, %s: %w", p.certFile, p.keyFile, err)
	}
	p.pair, p.changed = &pair, newest
	return p.pair, nil
}
