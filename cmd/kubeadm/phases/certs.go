package phases

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	netutils "k8s.io/utils/net"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/pkg/certs"
)

// Names of the authorities, which are also their file names below the certificates folder.
const (
	ClusterCA    = "ca"
	FrontProxyCA = "front-proxy-ca"
	EtcdCA       = "etcd/ca"

	serviceAccountKey = "sa.key"
	serviceAccountPub = "sa.pub"

	// AdminGroup is bound to cluster-admin and can be taken away; MastersGroup cannot.
	AdminGroup   = "kubeadm:cluster-admins"
	MastersGroup = "system:masters"
)

// Certificate is one entry of a control plane node's certificates folder.
type Certificate struct {
	Name string // file name below the certificates folder, without extension
	CA   string // the authority that signs it; empty for an authority
	Long string
	Spec func(n *Node) (certs.Spec, error)
}

func authority(commonName string, dns ...string) func(*Node) (certs.Spec, error) {
	return func(*Node) (certs.Spec, error) { return certs.Spec{CommonName: commonName, DNSNames: dns}, nil }
}

func client(commonName string, organizations ...string) func(*Node) (certs.Spec, error) {
	return func(*Node) (certs.Spec, error) {
		return certs.Spec{CommonName: commonName, Organizations: organizations, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, nil
	}
}

// Certificates lists what a cluster needs, authorities before what they sign. With an external etcd nothing of etcd is made here
// (https://kubernetes.io/docs/setup/best-practices/certificates/).
func Certificates(c *config.ClusterConfiguration) []Certificate {
	list := []Certificate{
		{ClusterCA, "", "the self-signed Kubernetes CA to provision identities for other Kubernetes components", authority("kubernetes", "kubernetes")},
		{"apiserver", ClusterCA, "the certificate for serving the Kubernetes API", apiServerSpec},
		{"apiserver-kubelet-client", ClusterCA, "the certificate for the API server to connect to kubelet", client("kube-apiserver-kubelet-client", AdminGroup)},
		{FrontProxyCA, "", "the self-signed CA to provision identities for front proxy", authority("front-proxy-ca", "front-proxy-ca")},
		{"front-proxy-client", FrontProxyCA, "the certificate for the front proxy client", client("front-proxy-client")},
	}
	if c.Etcd.External == nil {
		list = append(list,
			Certificate{EtcdCA, "", "the self-signed CA to provision identities for etcd", authority("etcd-ca", "etcd-ca")},
			Certificate{"etcd/server", EtcdCA, "the certificate for serving etcd", etcdSpec(func(l *config.LocalEtcd) []string { return l.ServerCertSANs })},
			Certificate{"etcd/peer", EtcdCA, "the certificate for etcd nodes to communicate with each other", etcdSpec(func(l *config.LocalEtcd) []string { return l.PeerCertSANs })},
			Certificate{"etcd/healthcheck-client", EtcdCA, "the certificate for liveness probes to healthcheck etcd", client("kube-etcd-healthcheck-client")},
			Certificate{"apiserver-etcd-client", EtcdCA, "the certificate the apiserver uses to access etcd", client("kube-apiserver-etcd-client")},
		)
	}
	return list
}

// apiServerSpec names everything the API server is called: the Service, the node, the load balancer and what the user adds.
func apiServerSpec(n *Node) (certs.Spec, error) {
	serviceIP, err := n.Cluster.Networking.ServiceIP()
	if err != nil {
		return certs.Spec{}, fmt.Errorf("networking.serviceSubnet: %w", err)
	}
	names := []string{n.Registration.Name, "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + n.Cluster.Networking.DNSDomain,
		serviceIP.String(), n.Endpoint.AdvertiseAddress}
	for _, subnet := range strings.Split(n.Cluster.Networking.ServiceSubnet, ",")[1:] {
		if ip, err := config.AddressIn(subnet, 1); err == nil {
			names = append(names, ip.String())
		}
	}
	if n.Cluster.ControlPlaneEndpoint != "" {
		host, _, err := config.SplitEndpoint(n.Cluster.ControlPlaneEndpoint)
		if err != nil {
			return certs.Spec{}, fmt.Errorf("controlPlaneEndpoint: %w", err)
		}
		names = append(names, host)
	}
	spec := certs.Spec{CommonName: "kube-apiserver", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	spec.DNSNames, spec.IPs = splitNames(append(names, n.Cluster.APIServer.CertSANs...))
	return spec, nil
}

// etcdSpec is a certificate that both serves and connects: members of etcd are clients of each other.
func etcdSpec(extra func(*config.LocalEtcd) []string) func(*Node) (certs.Spec, error) {
	return func(n *Node) (certs.Spec, error) {
		spec := certs.Spec{CommonName: n.Registration.Name, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
		names := []string{n.Registration.Name, "localhost", n.Endpoint.AdvertiseAddress, "127.0.0.1", "::1"}
		spec.DNSNames, spec.IPs = splitNames(append(names, extra(n.Cluster.Etcd.Local)...))
		return spec, nil
	}
}

// splitNames sorts subject alternative names into DNS names and addresses and drops doubles.
func splitNames(names []string) (dns []string, ips []net.IP) {
	seen := map[string]bool{}
	for _, name := range names {
		if name == "" || seen[name] {
			continue
		}
		seen[name] = true
		if ip := netutils.ParseIPSloppy(name); ip != nil {
			ips = append(ips, ip)
		} else {
			dns = append(dns, name)
		}
	}
	return dns, ips
}

// spec completes a certificate's Spec with what the cluster says about lifetimes and keys.
func (n *Node) spec(c Certificate) (certs.Spec, error) {
	spec, err := c.Spec(n)
	if err != nil {
		return spec, err
	}
	spec.Now, spec.Algorithm = n.Now(), certs.Algorithm(n.Cluster.EncryptionAlgorithm)
	spec.Validity = n.Cluster.CertificateValidityPeriod.Duration
	if c.CA == "" {
		spec.Validity = n.Cluster.CACertificateValidityPeriod.Duration
	}
	return spec, nil
}

// Certificate makes one certificate, or keeps the one on disk when it is good. A bad one is an error and never overwritten: it may
// be the only copy of a key.
func (n *Node) Certificate(_ context.Context, c Certificate) error {
	spec, err := n.spec(c)
	if err != nil {
		return err
	}
	existing, err := certs.ReadPair(n.PKI(), c.Name)
	switch {
	case err == nil:
		return n.keep(c, spec, existing)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case c.CA == "":
		if _, err := os.Lstat(certs.KeyPath(n.PKI(), c.Name)); err == nil {
			return fmt.Errorf("%s exists without its certificate: add the certificate, or remove the key", certs.KeyPath(n.PKI(), c.Name))
		}
		n.say("certs", "Generating %q certificate and key", c.Name)
		pair, err := certs.NewCA(spec)
		if err != nil {
			return err
		}
		return certs.WritePair(n.PKI(), c.Name, pair)
	}
	ca, err := certs.ReadPair(n.PKI(), c.CA)
	if err != nil {
		return fmt.Errorf("certificate %q needs its authority: %w", c.Name, err)
	}
	n.say("certs", "Generating %q certificate and key", c.Name)
	pair, err := ca.Sign(spec)
	if err != nil {
		return err
	}
	if len(spec.DNSNames)+len(spec.IPs) > 0 {
		n.say("certs", "%s serving cert is signed for DNS names %v and IPs %v", c.Name, spec.DNSNames, spec.IPs)
	}
	return certs.WritePair(n.PKI(), c.Name, pair)
}

// keep checks that an existing certificate does its job.
func (n *Node) keep(c Certificate, spec certs.Spec, pair *certs.Pair) error {
	path := certs.CertPath(n.PKI(), c.Name)
	if err := certs.CheckTime(pair.Cert, n.Now()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if c.CA == "" {
		if !pair.Cert.IsCA {
			return fmt.Errorf("%s: is no certificate authority: remove it, or put an authority there", path)
		}
		if pair.Key == nil {
			n.say("certs", "Using existing %s authority without its key: external CA mode, every certificate it signs must be there", c.Name)
			return nil
		}
		n.say("certs", "Using existing %s certificate authority", c.Name)
		return nil
	}
	ca, err := certs.ReadCert(certs.CertPath(n.PKI(), c.CA))
	if err == nil {
		err = certs.CheckChain(pair.Cert, ca)
	}
	if err == nil {
		err = certs.CheckNames(pair.Cert, spec.DNSNames, spec.IPs)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: remove it to have it made anew", path, err)
	}
	if pair.Key == nil {
		return fmt.Errorf("%s: its key %s is missing", path, certs.KeyPath(n.PKI(), c.Name))
	}
	n.say("certs", "Using existing %s certificate and key on disk", c.Name)
	return nil
}

// ServiceAccountKey makes the key pair that service account tokens are signed with, or keeps the existing one.
func (n *Node) ServiceAccountKey(context.Context) error {
	private, public := filepath.Join(n.PKI(), serviceAccountKey), filepath.Join(n.PKI(), serviceAccountPub)
	key, err := certs.ReadKey(private)
	if err == nil {
		n.say("certs", "Using the existing %q key", "sa")
	} else {
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		n.say("certs", "Generating %q key and public key", "sa")
		if key, err = certs.NewKey(certs.Algorithm(n.Cluster.EncryptionAlgorithm)); err != nil {
			return err
		}
		if err := certs.WriteKey(private, key); err != nil {
			return err
		}
	}
	data, err := certs.EncodePublicKey(key.Public())
	if err != nil {
		return err
	}
	return certs.WriteFile(public, data, 0o600)
}
