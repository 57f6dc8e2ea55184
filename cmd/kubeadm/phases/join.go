package phases

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"pilotis.dev/pkg/certs"
)

// WriteBootstrap writes what a joining node's kubelet asks for its certificate with: a kubeconfig with the bootstrap credentials, and
// the cluster's authority for the clients of this node.
func (n *Node) WriteBootstrap(_ context.Context, bootstrap *clientcmdapi.Config, caPath string) error {
	if err := certs.WriteKubeconfig(n.Conf(BootstrapConf), bootstrap); err != nil {
		return err
	}
	path := n.At(caPath)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	found, _, err := certs.Current(bootstrap)
	if err != nil {
		return err
	}
	return certs.WriteFile(path, found.CertificateAuthorityData, 0o644)
}

// CheckNodeName refuses to join under the name of a node that is up: two kubelets would fight over one Node.
func (n *Node) CheckNodeName(ctx context.Context, client kubernetes.Interface) error {
	node, err := client.CoreV1().Nodes().Get(ctx, n.Registration.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot see whether the name %q is free: %w", n.Registration.Name, err)
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
			return fmt.Errorf("a Node with name %q and status %q already exists in the cluster: you must delete the existing Node or change the name of this new joining Node (--node-name)", n.Registration.Name, corev1.NodeReady)
		}
	}
	return nil
}

// WaitBootstrap waits until the kubelet holds a certificate of the cluster, then removes the bootstrap credentials.
func (n *Node) WaitBootstrap(ctx context.Context) error {
	if n.DryRun {
		n.say("dryrun", "Would wait for the kubelet to perform the TLS Bootstrap")
		return nil
	}
	timeout := n.Timeouts.TLSBootstrap.Duration
	n.say("kubelet-start", "Waiting for the kubelet to perform the TLS Bootstrap")
	start := time.Now()
	err := wait.PollUntilContextTimeout(ctx, healthPeriod, timeout, true, func(context.Context) (bool, error) {
		_, err := os.Stat(n.Conf(KubeletConf))
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("the kubelet wrote no %s within %v: it got no certificate. Its log tells why; on a control plane node `kubectl get csr` shows whether its request arrived and was approved", filepath.Join(KubernetesDir, KubeletConf), timeout)
	}
	n.say("kubelet-start", "The kubelet has its certificate after %v", time.Since(start).Round(time.Millisecond))
	if err := os.Remove(n.Conf(BootstrapConf)); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// UseLocalServer makes the kubelet of a control plane node talk to the API server of its own node.
func (n *Node) UseLocalServer(ctx context.Context) error {
	if n.DryRun {
		return nil
	}
	path := n.Conf(KubeletConf)
	cfg, err := certs.ReadKubeconfig(path)
	if err != nil {
		return err
	}
	found, _, err := certs.Current(cfg)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	server, err := n.server(true)
	if err != nil {
		return err
	}
	if found.Server == server {
		return nil
	}
	found.Server = server
	if err := certs.WriteKubeconfig(path, cfg); err != nil {
		return err
	}
	return n.Kubelet.RestartKubelet(ctx)
}
