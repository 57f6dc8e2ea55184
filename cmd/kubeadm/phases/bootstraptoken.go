package phases

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	"pilotis.dev/cmd/kubeadm/cluster"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/pkg/certs"
)

// BootstrapTokens stores the tokens nodes join with, the rules they join by, and the cluster-info they trust.
func (n *Node) BootstrapTokens(ctx context.Context, client kubernetes.Interface, tokens []config.BootstrapToken) error {
	n.say("bootstrap-token", "Configuring bootstrap tokens, cluster-info ConfigMap, RBAC Roles")
	for _, token := range tokens {
		secret, err := cluster.TokenSecret(token, n.Now())
		if err != nil {
			return err
		}
		if err := n.apply(ctx, client, secret); err != nil {
			return err
		}
	}
	return n.BootstrapRules(ctx, client)
}

// BootstrapRules writes all of the above but the tokens.
func (n *Node) BootstrapRules(ctx context.Context, client kubernetes.Interface) error {
	n.say("bootstrap-token", "Configured RBAC rules to allow Node Bootstrap tokens to get nodes")
	n.say("bootstrap-token", "Configured RBAC rules to allow Node Bootstrap tokens to post CSRs in order for nodes to get long term certificate credentials")
	n.say("bootstrap-token", "Configured RBAC rules to allow the csrapprover controller automatically approve CSRs from a Node Bootstrap Token")
	n.say("bootstrap-token", "Configured RBAC rules to allow certificate rotation for all node client certificates in the cluster")
	if err := n.apply(ctx, client, bootstrapRules()...); err != nil {
		return err
	}
	n.say("bootstrap-token", "Creating the %q ConfigMap in the %q namespace", bootstrapapi.ConfigMapClusterInfo, metav1.NamespacePublic)
	info, err := n.clusterInfo()
	if err != nil {
		return err
	}
	object := configMap(metav1.NamespacePublic, bootstrapapi.ConfigMapClusterInfo, bootstrapapi.KubeConfigKey, string(info))
	// Signatures are the bootstrap signer's; writing the object again must not take them away before it signs anew.
	err = cluster.Retry(ctx, n.Timeouts.KubernetesAPICall.Duration, func(ctx context.Context) error {
		have, err := client.CoreV1().ConfigMaps(object.Namespace).Get(ctx, object.Name, metav1.GetOptions{})
		if err == nil && have.Data[bootstrapapi.KubeConfigKey] == string(info) {
			return nil
		}
		return cluster.Apply(ctx, client, object)
	})
	if err != nil {
		return fmt.Errorf("publishing %s: %w", bootstrapapi.ConfigMapClusterInfo, err)
	}
	return n.apply(ctx, client, clusterInfoRules()...)
}

// clusterInfo is a kubeconfig that says where the cluster is and which authority to trust, without a user.
func (n *Node) clusterInfo() ([]byte, error) {
	ca, err := certs.ReadCert(certs.CertPath(n.PKI(), ClusterCA))
	if err != nil {
		return nil, err
	}
	server, err := n.server(false)
	if err != nil {
		return nil, err
	}
	info := clientcmdapi.NewConfig()
	info.Clusters[""] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: certs.EncodeCert(ca)}
	return clientcmd.Write(*info)
}
