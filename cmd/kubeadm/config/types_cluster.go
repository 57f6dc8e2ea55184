package config

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ClusterConfiguration describes the cluster as a whole. It is kept in the ConfigMap kube-system/kubeadm-config, from where join,
// upgrade and reset read it.
type ClusterConfiguration struct {
	metav1.TypeMeta             `json:",inline"`
	Etcd                        Etcd             `json:"etcd,omitempty"`
	Networking                  Networking       `json:"networking,omitempty"`
	KubernetesVersion           string           `json:"kubernetesVersion,omitempty"`
	ControlPlaneEndpoint        string           `json:"controlPlaneEndpoint,omitempty"`
	APIServer                   APIServer        `json:"apiServer,omitempty"`
	ControllerManager           Component        `json:"controllerManager,omitempty"`
	Scheduler                   Component        `json:"scheduler,omitempty"`
	DNS                         DNS              `json:"dns,omitempty"`
	Proxy                       Proxy            `json:"proxy,omitempty"`
	CertificatesDir             string           `json:"certificatesDir,omitempty"`
	ImageRepository             string           `json:"imageRepository,omitempty"`
	FeatureGates                map[string]bool  `json:"featureGates,omitempty"`
	ClusterName                 string           `json:"clusterName,omitempty"`
	EncryptionAlgorithm         string           `json:"encryptionAlgorithm,omitempty"`
	CertificateValidityPeriod   *metav1.Duration `json:"certificateValidityPeriod,omitempty"`
	CACertificateValidityPeriod *metav1.Duration `json:"caCertificateValidityPeriod,omitempty"`
}

// Component is what every control plane component can be given beyond its defaults.
type Component struct {
	ExtraArgs    []Arg           `json:"extraArgs,omitempty"`
	ExtraVolumes []HostPathMount `json:"extraVolumes,omitempty"`
	ExtraEnvs    []EnvVar        `json:"extraEnvs,omitempty"`
}

// APIServer adds names for the serving certificate.
type APIServer struct {
	Component `json:",inline"`
	CertSANs  []string `json:"certSANs,omitempty"`
}

// Networking holds the ranges of Services and Pods; a dual-stack cluster names two of each, separated by a comma.
type Networking struct {
	ServiceSubnet string `json:"serviceSubnet,omitempty"`
	PodSubnet     string `json:"podSubnet,omitempty"`
	DNSDomain     string `json:"dnsDomain,omitempty"`
}

// Image overrides where one image comes from.
type Image struct {
	ImageRepository string `json:"imageRepository,omitempty"`
	ImageTag        string `json:"imageTag,omitempty"`
}

// DNS describes the cluster DNS add-on.
type DNS struct {
	Image    `json:",inline"`
	Disabled bool `json:"disabled,omitempty"`
}

// Proxy describes the kube-proxy add-on.
type Proxy struct {
	Disabled bool `json:"disabled,omitempty"`
}

// Etcd is either local (a static pod on each control plane node) or external.
type Etcd struct {
	Local    *LocalEtcd    `json:"local,omitempty"`
	External *ExternalEtcd `json:"external,omitempty"`
}

// LocalEtcd describes the etcd member kubeadm runs.
type LocalEtcd struct {
	Image          `json:",inline"`
	DataDir        string   `json:"dataDir"`
	ExtraArgs      []Arg    `json:"extraArgs,omitempty"`
	ExtraEnvs      []EnvVar `json:"extraEnvs,omitempty"`
	ServerCertSANs []string `json:"serverCertSANs,omitempty"`
	PeerCertSANs   []string `json:"peerCertSANs,omitempty"`
}

// ExternalEtcd says how to reach an etcd cluster someone else runs.
type ExternalEtcd struct {
	Endpoints []string `json:"endpoints"`
	// HTTPEndpoints are probed over HTTP only (livez, metrics); empty means Endpoints.
	HTTPEndpoints []string `json:"httpEndpoints,omitempty"`
	CAFile        string   `json:"caFile"`
	CertFile      string   `json:"certFile"`
	KeyFile       string   `json:"keyFile"`
}
