package phases

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/pkg/certs"
)

// Expiration says when one certificate ends.
type Expiration struct {
	Name              string    `json:"name"`
	Expires           time.Time `json:"expirationDate"`
	Missing           bool      `json:"missing,omitempty"`
	Authority         string    `json:"caName,omitempty"`
	ExternallyManaged bool      `json:"externallyManaged"`
}

// phaseName is what commands call a certificate: etcd/server is etcd-server.
func phaseName(name string) string { return strings.ReplaceAll(name, "/", "-") }

// renewableConfs are the kubeconfig files whose certificate nobody rotates; the kubelet renews its own.
func renewableConfs() []string {
	return []string{AdminConf, SuperAdminConf, ControllerConf, SchedulerConf}
}

// Renewable lists what can be renewed: leaf certificates and kubeconfig files. Authorities cannot: every node trusts them.
func Renewable(c *config.ClusterConfiguration) []string {
	out := renewableConfs()
	for _, certificate := range Certificates(c) {
		if certificate.CA != "" {
			out = append(out, phaseName(certificate.Name))
		}
	}
	return out
}

// Expirations reads when the certificates and authorities of this node end.
func (n *Node) Expirations() (leaves, authorities []Expiration) {
	external := func(ca string) bool {
		_, err := os.Stat(certs.KeyPath(n.PKI(), ca))
		return err != nil
	}
	for _, file := range renewableConfs() {
		e := Expiration{Name: file, Authority: ClusterCA, ExternallyManaged: external(ClusterCA), Missing: true}
		if cfg, err := certs.ReadKubeconfig(n.Conf(file)); err == nil {
			if pair, err := certs.UserPair(cfg); err == nil && pair != nil {
				e.Expires, e.Missing = pair.Cert.NotAfter, false
			}
		}
		leaves = append(leaves, e)
	}
	for _, c := range Certificates(n.Cluster) {
		e := Expiration{Name: phaseName(c.Name), Authority: phaseName(c.CA), Missing: true}
		if cert, err := certs.ReadCert(certs.CertPath(n.PKI(), c.Name)); err == nil {
			e.Expires, e.Missing = cert.NotAfter, false
		}
		if c.CA == "" {
			e.ExternallyManaged = external(c.Name)
			authorities = append(authorities, e)
			continue
		}
		e.ExternallyManaged = external(c.CA)
		leaves = append(leaves, e)
	}
	return leaves, authorities
}

// Renew replaces one certificate by a new one for the same subject, names and usages, with a new key. A missing certificate
// satisfies errors.Is(err, fs.ErrNotExist).
func (n *Node) Renew(_ context.Context, name string) error {
	for _, file := range renewableConfs() {
		if file == name {
			return n.renewKubeconfig(file)
		}
	}
	for _, c := range Certificates(n.Cluster) {
		if phaseName(c.Name) != name || c.CA == "" {
			continue
		}
		old, err := certs.ReadCert(certs.CertPath(n.PKI(), c.Name))
		if err != nil {
			return err
		}
		ca, err := certs.ReadPair(n.PKI(), c.CA)
		if err != nil {
			return err
		}
		pair, err := ca.Sign(n.again(certs.SpecOf(old)))
		if err != nil {
			return err
		}
		return certs.WritePair(n.PKI(), c.Name, pair)
	}
	return fmt.Errorf("certificate %q cannot be renewed: choose one of %s: %w", name, strings.Join(Renewable(n.Cluster), ", "), fs.ErrInvalid)
}

func (n *Node) again(spec certs.Spec) certs.Spec {
	spec.Now, spec.Validity, spec.Algorithm = n.Now(), n.Cluster.CertificateValidityPeriod.Duration, certs.Algorithm(n.Cluster.EncryptionAlgorithm)
	return spec
}

func (n *Node) renewKubeconfig(file string) error {
	path := n.Conf(file)
	cfg, err := certs.ReadKubeconfig(path)
	if err != nil {
		return err
	}
	old, err := certs.UserPair(cfg)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if old == nil {
		return fmt.Errorf("%s holds no client certificate", path)
	}
	ca, err := certs.ReadPair(n.PKI(), ClusterCA)
	if err != nil {
		return err
	}
	pair, err := ca.Sign(n.again(certs.SpecOf(old.Cert)))
	if err != nil {
		return err
	}
	key, err := certs.EncodeKey(pair.Key)
	if err != nil {
		return err
	}
	_, user, err := certs.Current(cfg)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	user.ClientCertificateData, user.ClientKeyData = certs.EncodeCert(pair.Cert), key
	return certs.WriteKubeconfig(path, cfg)
}

// Requests writes a key and a signing request for every certificate, and kubeconfig files that lack only their certificate.
func (n *Node) Requests(_ context.Context, kubeconfigDir string) error {
	for _, c := range Certificates(n.Cluster) {
		if c.CA == "" {
			continue
		}
		spec, err := n.spec(c)
		if err != nil {
			return err
		}
		if err := n.request(filepath.Join(n.PKI(), c.Name), spec, nil); err != nil {
			return err
		}
	}
	for _, id := range Identities(n.Registration.Name) {
		server, err := n.server(id.Local)
		if err != nil {
			return err
		}
		access := certs.Access{Cluster: n.Cluster.ClusterName, Server: server, User: id.CommonName}
		spec := n.again(certs.Spec{CommonName: id.CommonName, Organizations: id.Organizations})
		if err := n.request(filepath.Join(kubeconfigDir, id.File), spec, access.Kubeconfig()); err != nil {
			return err
		}
	}
	return nil
}

// request writes base.csr and the key: to base.key, or into the kubeconfig called base. Nothing that exists is replaced.
func (n *Node) request(base string, spec certs.Spec, cfg *clientcmdapi.Config) error {
	keyFile := base + ".key"
	if cfg != nil {
		keyFile = base
	}
	for _, path := range []string{base + ".csr", keyFile} {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s exists already: remove it, or choose another folder", path)
		}
	}
	csr, key, err := certs.NewRequest(spec)
	if err != nil {
		return err
	}
	n.say("certs", "Generating a key and signing request %s.csr", base)
	if cfg == nil {
		err = certs.WriteKey(keyFile, key)
	} else {
		data, encodeErr := certs.EncodeKey(key)
		if encodeErr != nil {
			return encodeErr
		}
		for name := range cfg.AuthInfos {
			cfg.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientKeyData: data}
		}
		err = certs.WriteKubeconfig(keyFile, cfg)
	}
	if err != nil {
		return err
	}
	return certs.WriteFile(base+".csr", certs.EncodeRequest(csr), 0o600)
}
