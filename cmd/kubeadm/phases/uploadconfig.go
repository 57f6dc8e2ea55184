package phases

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"pilotis.dev/cmd/kubeadm/cluster"
	"pilotis.dev/cmd/kubeadm/config"
)

// UploadConfig stores the ClusterConfiguration where later commands and other nodes read it.
func (n *Node) UploadConfig(ctx context.Context, client kubernetes.Interface) error {
	n.say("upload-config", "Storing the configuration used in ConfigMap %q in the %q Namespace", cluster.ConfigName, metav1.NamespaceSystem)
	data, err := config.Encode(n.Cluster)
	if err != nil {
		return err
	}
	objects := append([]runtime.Object{configMap(metav1.NamespaceSystem, cluster.ConfigName, cluster.ConfigKey, string(data))},
		readObject("kubeadm:nodes-kubeadm-config", metav1.NamespaceSystem, "configmaps", cluster.ConfigName, joiners(), nodes())...)
	return n.apply(ctx, client, objects...)
}

// UploadKubeletConfig stores the kubelet configuration of the cluster.
func (n *Node) UploadKubeletConfig(ctx context.Context, client kubernetes.Interface) error {
	n.say("kubelet", "Creating a ConfigMap %q in namespace %s with the configuration for the kubelets in the cluster", cluster.KubeletConfigName, metav1.NamespaceSystem)
	shared := n.KubeletCfg.DeepCopy()
	shared.ContainerRuntimeEndpoint = ""
	data, err := config.Encode(shared)
	if err != nil {
		return err
	}
	objects := append([]runtime.Object{configMap(metav1.NamespaceSystem, cluster.KubeletConfigName, cluster.KubeletConfigKey, string(data))},
		readObject("kubeadm:kubelet-config", metav1.NamespaceSystem, "configmaps", cluster.KubeletConfigName, joiners(), nodes())...)
	return n.apply(ctx, client, objects...)
}

// apply writes objects, trying again while the server is not ready to take them.
func (n *Node) apply(ctx context.Context, client kubernetes.Interface, objects ...runtime.Object) error {
	for _, object := range objects {
		err := cluster.Retry(ctx, n.Timeouts.KubernetesAPICall.Duration, func(ctx context.Context) error {
			return cluster.Apply(ctx, client, object)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func configMap(namespace, name, key, data string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: map[string]string{key: data}}
}

// EnsureAdmin binds the group of admin.conf to cluster-admin, using super-admin.conf, whose group the server always obeys. Where
// admin.conf can already do it, nothing else is needed.
func (n *Node) EnsureAdmin(ctx context.Context, admin, super kubernetes.Interface) error {
	if err := cluster.Apply(ctx, admin, adminBinding()); err == nil {
		return nil
	}
	if super == nil {
		return fmt.Errorf("%s may not bind the group %s to cluster-admin, and there is no %s: make one with `kubeadm init phase kubeconfig super-admin`", AdminConf, AdminGroup, SuperAdminConf)
	}
	return n.apply(ctx, super, adminBinding())
}
