package discovery

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	"k8s.io/cluster-bootstrap/token/jws"
	"k8s.io/cluster-bootstrap/util/tokens"
	"pilotis.dev/cmd/kubeadm/cluster"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/pkg/certs"
)

const retryPeriod = 2 * time.Second

// ErrUntrusted says that a server answered and is not the cluster it should be; waiting does not help.
var ErrUntrusted = errors.New("the cluster cannot be trusted")

// ByToken fetches cluster-info from the endpoint and returns the cluster it describes once everything about it is proven:
// the token signed it, its authority is a pinned one, and the server presents a certificate of that authority. Until the timeout
// it waits for the server to answer and for the signature to appear.
func ByToken(ctx context.Context, t *config.TokenDiscovery, timeout time.Duration, out io.Writer) (*clientcmdapi.Cluster, error) {
	id, secret, err := tokens.ParseToken(t.Token)
	if err != nil {
		return nil, fmt.Errorf("discovery token: %w", err)
	}
	fmt.Fprintf(out, "[discovery] Fetching the cluster-info ConfigMap from %s\n", t.APIServerEndpoint)
	var found *clientcmdapi.Cluster
	err = await(ctx, timeout, func(ctx context.Context) error {
		found, err = byToken(ctx, t, id, secret)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("discovering the cluster at %s: %w", t.APIServerEndpoint, err)
	}
	if len(t.CACertHashes) == 0 {
		fmt.Fprintln(out, "[discovery] The cluster's authority was not verified: no hash of it was given")
	}
	return found, nil
}

func byToken(ctx context.Context, t *config.TokenDiscovery, id, secret string) (*clientcmdapi.Cluster, error) {
	server := &clientcmdapi.Cluster{Server: "https://" + t.APIServerEndpoint, InsecureSkipTLSVerify: true}
	info, err := clusterInfo(ctx, server)
	if err != nil {
		return nil, err
	}
	text := info.Data[bootstrapapi.KubeConfigKey]
	signature := info.Data[bootstrapapi.JWSSignatureKeyPrefix+id]
	if text == "" {
		return nil, fmt.Errorf("ConfigMap %s/%s has no key %q", metav1.NamespacePublic, bootstrapapi.ConfigMapClusterInfo, bootstrapapi.KubeConfigKey)
	}
	if signature == "" {
		return nil, fmt.Errorf("cluster-info is not signed for token id %q: the token is unknown or expired, or not signed yet: make one with `kubeadm token create`", id)
	}
	if !jws.DetachedTokenIsValid(signature, text, id, secret) {
		return nil, fmt.Errorf("%w: cluster-info carries no valid signature of this token: the token is wrong, or somebody changed the data", ErrUntrusted)
	}
	found, err := clusterOf([]byte(text))
	if err != nil {
		return nil, err
	}
	if len(t.CACertHashes) == 0 {
		return found, nil
	}
	if err := pinned(found.CertificateAuthorityData, t.CACertHashes); err != nil {
		return nil, err
	}
	// Ask again, this time trusting only the authority that was proven: what was read must come from its holder.
	secure, err := clusterInfo(ctx, &clientcmdapi.Cluster{Server: server.Server, CertificateAuthorityData: found.CertificateAuthorityData})
	if err != nil {
		return nil, err
	}
	if secure.Data[bootstrapapi.KubeConfigKey] != text {
		return nil, fmt.Errorf("%w: cluster-info differs when it is read over a verified connection", ErrUntrusted)
	}
	return found, nil
}

// pinned checks that one of the authorities has a pinned public key.
func pinned(bundle []byte, pins []string) error {
	authorities, err := certs.ParseCerts(bundle)
	if err != nil {
		return fmt.Errorf("%w: cluster-info holds no certificate authority: %w", ErrUntrusted, err)
	}
	for _, ca := range authorities {
		if matches(ca, pins) {
			return nil
		}
	}
	return fmt.Errorf("%w: cluster CA found in cluster-info ConfigMap is invalid: none of the public keys %q are pinned: check --discovery-token-ca-cert-hash", ErrUntrusted, certs.Pin(authorities[0]))
}

func matches(ca *x509.Certificate, pins []string) bool {
	for _, pin := range pins {
		if bytes.EqualFold([]byte(certs.Pin(ca)), []byte(pin)) {
			return true
		}
	}
	return false
}

// clusterInfo reads kube-public/cluster-info anonymously.
func clusterInfo(ctx context.Context, at *clientcmdapi.Cluster) (*corev1.ConfigMap, error) {
	client, err := cluster.ClientFor(anonymous(at))
	if err != nil {
		return nil, err
	}
	return client.CoreV1().ConfigMaps(metav1.NamespacePublic).Get(ctx, bootstrapapi.ConfigMapClusterInfo, metav1.GetOptions{})
}

func anonymous(at *clientcmdapi.Cluster) *clientcmdapi.Config {
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["cluster"] = at
	cfg.AuthInfos["anonymous"] = &clientcmdapi.AuthInfo{}
	cfg.Contexts["discovery"] = &clientcmdapi.Context{Cluster: "cluster", AuthInfo: "anonymous"}
	cfg.CurrentContext = "discovery"
	return cfg
}

// clusterOf returns the one cluster of a kubeconfig: that of its current context, or the only entry.
func clusterOf(data []byte) (*clientcmdapi.Cluster, error) {
	cfg, err := clientcmd.Load(data)
	if err != nil {
		return nil, fmt.Errorf("%w: cluster-info is no kubeconfig: %w", ErrUntrusted, err)
	}
	if found, _, err := certs.Current(cfg); err == nil {
		return found, nil
	}
	if len(cfg.Clusters) != 1 {
		return nil, fmt.Errorf("%w: cluster-info names %d clusters, it must name one", ErrUntrusted, len(cfg.Clusters))
	}
	for _, found := range cfg.Clusters {
		return found, nil
	}
	return nil, nil
}

// await tries until it succeeds, is told that it never will, or the timeout passes; the error is the last one.
func await(ctx context.Context, timeout time.Duration, try func(ctx context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, retryPeriod, timeout, true, func(ctx context.Context) (bool, error) {
		err := try(ctx)
		switch {
		case err == nil:
			return true, nil
		case ctx.Err() != nil:
			return false, ctx.Err() // the end of the time is no news about the cluster
		}
		last = err
		if errors.Is(err, ErrUntrusted) {
			return false, err
		}
		return false, nil
	})
	if err != nil && last != nil {
		return last
	}
	return err
}
