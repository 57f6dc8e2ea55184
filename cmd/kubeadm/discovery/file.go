package discovery

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	"pilotis.dev/cmd/kubeadm/cluster"
	"pilotis.dev/pkg/certs"
)

// maxFile bounds what is read from a URL.
const maxFile = 1 << 20

// ByFile returns the cluster of a trusted kubeconfig file or HTTPS URL and the credentials it carries, nil when it has none. The
// cluster's own cluster-info, read over the connection the file describes, replaces the file's address and authority.
func ByFile(ctx context.Context, path string, timeout time.Duration) (*clientcmdapi.Cluster, *clientcmdapi.AuthInfo, error) {
	data, err := read(ctx, path)
	if err != nil {
		return nil, nil, fmt.Errorf("discovery file %s: %w", path, err)
	}
	cfg, err := clientcmd.Load(data)
	if err != nil {
		return nil, nil, fmt.Errorf("discovery file %s: %w", path, err)
	}
	found, user, err := certs.Current(cfg)
	if err != nil {
		if found, err = clusterOf(data); err != nil {
			return nil, nil, fmt.Errorf("discovery file %s: %w", path, err)
		}
	}
	if user != nil && user.Token == "" && user.TokenFile == "" && len(user.ClientCertificateData) == 0 && user.ClientCertificate == "" && user.Exec == nil {
		user = nil
	}
	newer, err := refreshed(ctx, found, user, timeout)
	if err != nil {
		return nil, nil, fmt.Errorf("discovery file %s: asking %s: %w", path, found.Server, err)
	}
	return newer, user, nil
}

func refreshed(ctx context.Context, at *clientcmdapi.Cluster, user *clientcmdapi.AuthInfo, timeout time.Duration) (*clientcmdapi.Cluster, error) {
	cfg := anonymous(at)
	if user != nil {
		cfg.AuthInfos["anonymous"] = user
	}
	client, err := cluster.ClientFor(cfg)
	if err != nil {
		return nil, err
	}
	found := at
	err = await(ctx, timeout, func(ctx context.Context) error {
		info, err := client.CoreV1().ConfigMaps(metav1.NamespacePublic).Get(ctx, bootstrapapi.ConfigMapClusterInfo, metav1.GetOptions{})
		if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || apierrors.IsUnauthorized(err) {
			return nil // the administrator closed or removed it; the file is what counts
		}
		if err != nil {
			return err
		}
		found, err = clusterOf([]byte(info.Data[bootstrapapi.KubeConfigKey]))
		return err
	})
	return found, err
}

func read(ctx context.Context, path string) ([]byte, error) {
	if !strings.HasPrefix(path, "https://") {
		return os.ReadFile(path)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP status %s", answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, maxFile))
}
