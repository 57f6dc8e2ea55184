package app

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	proxyv1alpha1 "k8s.io/kube-proxy/config/v1alpha1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"pilotis.dev/cmd/kubeadm/config"
)

// placeholders stand for what every machine has its own of, so that printed defaults are the same everywhere.
const (
	placeholderToken   = "abcdef.0123456789abcdef"
	placeholderAddress = "1.2.3.4"
	placeholderServer  = "kube-apiserver:6443"
	placeholderNode    = "node"
	placeholderSocket  = "unix:///run/containerd/containerd.sock"
)

func placeholderMachine() config.Machine {
	return config.Machine{
		Hostname:  placeholderNode,
		Address:   func() (string, error) { return placeholderAddress, nil },
		CRISocket: func() (string, error) { return placeholderSocket, nil },
		Systemd:   true,
	}
}

// defaultDocuments returns the documents `kubeadm config print` shows.
func defaultDocuments(kind string, components []string) ([]any, error) {
	machine := placeholderMachine()
	var out []any
	switch kind {
	case "init":
		init := &config.InitConfiguration{BootstrapTokens: []config.BootstrapToken{{Token: placeholderToken, TTL: &metav1.Duration{Duration: 24 * time.Hour}}}}
		if err := config.DefaultInit(init, machine); err != nil {
			return nil, err
		}
		init.NodeRegistration.Taints = nil
		c, err := defaultCluster()
		if err != nil {
			return nil, err
		}
		out = append(out, init, c)
	case "join":
		join := &config.JoinConfiguration{Discovery: config.Discovery{BootstrapToken: &config.TokenDiscovery{
			Token: placeholderToken, APIServerEndpoint: placeholderServer, UnsafeSkipCAVerification: true,
		}}}
		if err := config.DefaultJoin(join, machine); err != nil {
			return nil, err
		}
		out = append(out, join)
	case "reset":
		reset := &config.ResetConfiguration{}
		config.DefaultReset(reset, machine)
		out = append(out, reset)
	case "upgrade":
		upgrade := &config.UpgradeConfiguration{}
		config.DefaultUpgrade(upgrade)
		out = append(out, upgrade)
	}
	for _, component := range components {
		c, err := defaultCluster()
		if err != nil {
			return nil, err
		}
		switch component {
		case config.KindKubelet:
			kubelet := &kubeletv1beta1.KubeletConfiguration{}
			if err := config.DefaultKubelet(kubelet, c, machine); err != nil {
				return nil, err
			}
			out = append(out, kubelet)
		case config.KindProxy:
			proxy := &proxyv1alpha1.KubeProxyConfiguration{}
			config.DefaultProxy(proxy, c)
			out = append(out, proxy)
		default:
			return nil, invalid{fmt.Errorf("--component-configs: unknown kind %q: use %s or %s", component, config.KindKubelet, config.KindProxy)}
		}
	}
	return out, nil
}

func defaultCluster() (*config.ClusterConfiguration, error) {
	c := &config.ClusterConfiguration{}
	return c, config.DefaultCluster(c)
}
