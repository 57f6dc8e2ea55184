package phases

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/pkg/certs"
)

// Identity is who a kubeconfig file speaks for.
type Identity struct {
	File          string
	CommonName    string
	Organizations []string
	// Local files reach the API server of their own node, so that components of different versions never meet during an upgrade;
	// the others go through the control plane endpoint.
	Local bool
}

// Identities lists the kubeconfig files of a control plane node.
func Identities(node string) []Identity {
	return []Identity{
		{AdminConf, "kubernetes-admin", []string{AdminGroup}, false},
		{SuperAdminConf, "kubernetes-super-admin", []string{MastersGroup}, false},
		{KubeletConf, "system:node:" + node, []string{"system:nodes"}, true},
		{ControllerConf, "system:kube-controller-manager", nil, true},
		{SchedulerConf, "system:kube-scheduler", nil, true},
	}
}

// server is the URL a kubeconfig of this node uses.
func (n *Node) server(local bool) (string, error) {
	if local {
		return "https://" + n.Endpoint.HostPort(), nil
	}
	endpoint, err := config.Endpoint(n.Cluster, n.Endpoint)
	return "https://" + endpoint, err
}

// access says how a user reaches this cluster.
func (n *Node) access(user string, local bool) (certs.Access, error) {
	ca, err := certs.ReadCert(certs.CertPath(n.PKI(), ClusterCA))
	if err != nil {
		return certs.Access{}, fmt.Errorf("the cluster's authority is needed: %w", err)
	}
	server, err := n.server(local)
	if err != nil {
		return certs.Access{}, err
	}
	return certs.Access{Cluster: n.Cluster.ClusterName, Server: server, CA: certs.EncodeCert(ca), User: user}, nil
}

// NewKubeconfig makes a kubeconfig with a fresh client certificate.
func (n *Node) NewKubeconfig(id Identity) (*clientcmdapi.Config, error) {
	access, err := n.access(id.CommonName, id.Local)
	if err != nil {
		return nil, err
	}
	ca, err := certs.ReadPair(n.PKI(), ClusterCA)
	if err != nil {
		return nil, err
	}
	pair, err := ca.Sign(certs.Spec{
		CommonName: id.CommonName, Organizations: id.Organizations, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		Now: n.Now(), Validity: n.Cluster.CertificateValidityPeriod.Duration, Algorithm: certs.Algorithm(n.Cluster.EncryptionAlgorithm),
	})
	if err != nil {
		return nil, err
	}
	return access.WithPair(pair)
}

// Kubeconfig writes one kubeconfig file, or keeps the one on disk when it belongs to this cluster.
func (n *Node) Kubeconfig(_ context.Context, id Identity) error {
	path := n.Conf(id.File)
	existing, err := certs.ReadKubeconfig(path)
	if err == nil {
		return n.keepKubeconfig(id, existing)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	cfg, err := n.NewKubeconfig(id)
	if err != nil {
		return fmt.Errorf("%s: %w", id.File, err)
	}
	n.say("kubeconfig", "Writing %q kubeconfig file", id.File)
	return certs.WriteKubeconfig(path, cfg)
}

func (n *Node) keepKubeconfig(id Identity, have *clientcmdapi.Config) error {
	path := n.Conf(id.File)
	access, err := n.access(id.CommonName, id.Local)
	if err != nil {
		return err
	}
	cluster, _, err := certs.Current(have)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if len(cluster.CertificateAuthorityData) > 0 && string(cluster.CertificateAuthorityData) != string(access.CA) {
		return fmt.Errorf("%s: a kubeconfig file exists already but has got the wrong CA cert: remove it to have it made anew", path)
	}
	if cluster.Server != access.Server {
		return fmt.Errorf("%s: a kubeconfig file exists already but has an unexpected API Server URL: expected: %s, got: %s: remove it to have it made anew", path, access.Server, cluster.Server)
	}
	pair, err := certs.UserPair(have)
	if err == nil && pair != nil {
		err = certs.CheckTime(pair.Cert, n.Now())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	n.say("kubeconfig", "Using existing kubeconfig file: %q", path)
	return nil
}

// TokenKubeconfig makes a kubeconfig for a user who presents a bearer token.
func (n *Node) TokenKubeconfig(user, token string) (*clientcmdapi.Config, error) {
	access, err := n.access(user, false)
	if err != nil {
		return nil, err
	}
	return access.WithToken(token), nil
}
