package certs

import (
	"fmt"
	"os"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Access says which cluster a kubeconfig reaches: the context is called user@cluster.
type Access struct {
	Cluster string // name of the cluster entry, "kubernetes"
	Server  string // https://host:port
	CA      []byte // PEM bundle that the server's certificate must chain to
	User    string // name of the user entry
}

// Kubeconfig returns a kubeconfig without credentials; clients of it are anonymous.
func (a Access) Kubeconfig() *clientcmdapi.Config {
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters[a.Cluster] = &clientcmdapi.Cluster{Server: a.Server, CertificateAuthorityData: a.CA}
	context := a.User + "@" + a.Cluster
	cfg.Contexts[context] = &clientcmdapi.Context{Cluster: a.Cluster, AuthInfo: a.User}
	cfg.CurrentContext = context
	cfg.AuthInfos[a.User] = &clientcmdapi.AuthInfo{}
	return cfg
}

// WithPair returns a kubeconfig that carries a client certificate and its key.
func (a Access) WithPair(pair *Pair) (*clientcmdapi.Config, error) {
	key, err := EncodeKey(pair.Key)
	if err != nil {
		return nil, err
	}
	cfg := a.Kubeconfig()
	cfg.AuthInfos[a.User] = &clientcmdapi.AuthInfo{ClientCertificateData: EncodeCert(pair.Cert), ClientKeyData: key}
	return cfg, nil
}

// WithToken returns a kubeconfig that carries a bearer token.
func (a Access) WithToken(token string) *clientcmdapi.Config {
	cfg := a.Kubeconfig()
	cfg.AuthInfos[a.User] = &clientcmdapi.AuthInfo{Token: token}
	return cfg
}

// WriteKubeconfig stores a kubeconfig, readable by its owner alone.
func WriteKubeconfig(path string, cfg *clientcmdapi.Config) error {
	data, err := clientcmd.Write(*cfg)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return WriteFile(path, data, modeSecret)
}

// ReadKubeconfig loads a kubeconfig file and resolves its current context; an error names the file.
func ReadKubeconfig(path string) (*clientcmdapi.Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	cfg, err := clientcmd.Load(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return cfg, nil
}

// Current returns the cluster and user entries of a kubeconfig's current context.
func Current(cfg *clientcmdapi.Config) (*clientcmdapi.Cluster, *clientcmdapi.AuthInfo, error) {
	context := cfg.Contexts[cfg.CurrentContext]
	if context == nil {
		return nil, nil, fmt.Errorf("current-context %q names no context of the file", cfg.CurrentContext)
	}
	cluster := cfg.Clusters[context.Cluster]
	if cluster == nil {
		return nil, nil, fmt.Errorf("context %q names the unknown cluster %q", cfg.CurrentContext, context.Cluster)
	}
	return cluster, cfg.AuthInfos[context.AuthInfo], nil
}

// UserPair returns the client certificate and key embedded in a kubeconfig's current context, nil when it has none.
func UserPair(cfg *clientcmdapi.Config) (*Pair, error) {
	_, user, err := Current(cfg)
	if err != nil || user == nil || len(user.ClientCertificateData) == 0 {
		return nil, err
	}
	list, err := ParseCerts(user.ClientCertificateData)
	if err != nil {
		return nil, err
	}
	key, err := ParseKey(user.ClientKeyData)
	if err != nil {
		return nil, err
	}
	if !KeyMatches(key, list[0].PublicKey) {
		return nil, ErrKeyMismatch
	}
	return &Pair{Cert: list[0], Key: key}, nil
}
