package config

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// Group and Version name the configuration API this program reads and writes.
	Group   = "kubeadm.k8s.io"
	Version = "v1beta4"
	// APIVersion is what stands in the apiVersion field of every kind.
	APIVersion = Group + "/" + Version

	KindInit    = "InitConfiguration"
	KindCluster = "ClusterConfiguration"
	KindJoin    = "JoinConfiguration"
	KindReset   = "ResetConfiguration"
	KindUpgrade = "UpgradeConfiguration"
	KindKubelet = "KubeletConfiguration"
	KindProxy   = "KubeProxyConfiguration"
)

// Arg is one command line argument of a component, without the leading dashes. Arguments are a list because a flag may repeat.
type Arg struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// EnvVar is an environment variable of a component.
type EnvVar struct {
	corev1.EnvVar `json:",inline"`
}

// HostPathMount mounts a path of the host into a component's container.
type HostPathMount struct {
	Name      string              `json:"name"`
	HostPath  string              `json:"hostPath"`
	MountPath string              `json:"mountPath"`
	ReadOnly  bool                `json:"readOnly,omitempty"`
	PathType  corev1.HostPathType `json:"pathType,omitempty"`
}

// APIEndpoint is where the API server of one node listens.
type APIEndpoint struct {
	AdvertiseAddress string `json:"advertiseAddress,omitempty"`
	BindPort         int32  `json:"bindPort,omitempty"`
}

// NodeRegistration says under which name, with which taints and by which container runtime a node joins.
type NodeRegistration struct {
	Name      string `json:"name,omitempty"`
	CRISocket string `json:"criSocket,omitempty"`
	// Taints nil means the default (control plane nodes get the control-plane taint); an empty list means none.
	Taints                []corev1.Taint    `json:"taints"`
	KubeletExtraArgs      []Arg             `json:"kubeletExtraArgs,omitempty"`
	IgnorePreflightErrors []string          `json:"ignorePreflightErrors,omitempty"`
	ImagePullPolicy       corev1.PullPolicy `json:"imagePullPolicy,omitempty"`
	// ImagePullSerial pulls images one after another; nil means true.
	ImagePullSerial *bool `json:"imagePullSerial,omitempty"`
}

// Patches names a folder of patches for what kubeadm writes: <target>[suffix][+strategic|merge|json].{yaml,json}.
type Patches struct {
	Directory string `json:"directory,omitempty"`
}

// Timeouts bounds every wait.
type Timeouts struct {
	ControlPlaneComponentHealthCheck *metav1.Duration `json:"controlPlaneComponentHealthCheck,omitempty"`
	KubeletHealthCheck               *metav1.Duration `json:"kubeletHealthCheck,omitempty"`
	KubernetesAPICall                *metav1.Duration `json:"kubernetesAPICall,omitempty"`
	EtcdAPICall                      *metav1.Duration `json:"etcdAPICall,omitempty"`
	TLSBootstrap                     *metav1.Duration `json:"tlsBootstrap,omitempty"`
	Discovery                        *metav1.Duration `json:"discovery,omitempty"`
	UpgradeManifests                 *metav1.Duration `json:"upgradeManifests,omitempty"`
}

// BootstrapToken is a credential that new nodes find and trust the cluster with.
type BootstrapToken struct {
	Token       string           `json:"token"`
	Description string           `json:"description,omitempty"`
	TTL         *metav1.Duration `json:"ttl,omitempty"`
	Expires     *metav1.Time     `json:"expires,omitempty"`
	Usages      []string         `json:"usages,omitempty"`
	Groups      []string         `json:"groups,omitempty"`
}
