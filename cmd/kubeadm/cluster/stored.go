package cluster

import (
	"context"
	"fmt"

	"k8s.io/client-go/kubernetes"
	"pilotis.dev/cmd/kubeadm/config"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// ConfigName is the ConfigMap that holds the ClusterConfiguration; KubeletConfigName and ProxyConfigName those of the components.
	ConfigName        = "kubeadm-config"
	ConfigKey         = "ClusterConfiguration"
	KubeletConfigName = "kubelet-config"
	KubeletConfigKey  = "kubelet"
	ProxyConfigName   = "kube-proxy"
	ProxyConfigKey    = "config.conf"
)

// Stored reads the configuration a cluster was made with. The kube-proxy configuration is read only where there is one and the
// caller may see it.
func Stored(ctx context.Context, client kubernetes.Interface, withProxy bool) (*config.Documents, error) {
	stored, err := StoredCluster(ctx, client)
	if err != nil {
		return nil, err
	}
	docs := &config.Documents{Cluster: stored}
	text, err := dataOf(ctx, client, KubeletConfigName, KubeletConfigKey)
	if err != nil {
		return nil, err
	}
	found, err := config.Decode([]byte(text))
	if err != nil || found.Kubelet == nil {
		return nil, fmt.Errorf("ConfigMap %s/%s holds no valid %s: %w", metav1.NamespaceSystem, KubeletConfigName, config.KindKubelet, err)
	}
	docs.Kubelet = found.Kubelet
	if withProxy && !docs.Cluster.Proxy.Disabled {
		text, err = dataOf(ctx, client, ProxyConfigName, ProxyConfigKey)
		if err != nil {
			return docs, nil // kube-proxy was skipped or replaced
		}
		if found, err = config.Decode([]byte(text)); err != nil {
			return nil, fmt.Errorf("ConfigMap %s/%s: %w", metav1.NamespaceSystem, ProxyConfigName, err)
		}
		docs.Proxy = found.Proxy
	}
	return docs, nil
}

// StoredCluster reads the ClusterConfiguration a cluster was made with.
func StoredCluster(ctx context.Context, client kubernetes.Interface) (*config.ClusterConfiguration, error) {
	text, err := dataOf(ctx, client, ConfigName, ConfigKey)
	if err != nil {
		return nil, err
	}
	found, err := config.Decode([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("ConfigMap %s/%s: %w", metav1.NamespaceSystem, ConfigName, err)
	}
	if found.Cluster == nil {
		return nil, fmt.Errorf("ConfigMap %s/%s holds no %s", metav1.NamespaceSystem, ConfigName, config.KindCluster)
	}
	if err := config.DefaultCluster(found.Cluster); err != nil {
		return nil, fmt.Errorf("ConfigMap %s/%s: %w", metav1.NamespaceSystem, ConfigName, err)
	}
	return found.Cluster, nil
}

func dataOf(ctx context.Context, client kubernetes.Interface, name, key string) (string, error) {
	object, err := client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("reading ConfigMap %s/%s: %w", metav1.NamespaceSystem, name, err)
	}
	text, ok := object.Data[key]
	if !ok {
		return "", fmt.Errorf("ConfigMap %s/%s has no key %q", metav1.NamespaceSystem, name, key)
	}
	return text, nil
}
