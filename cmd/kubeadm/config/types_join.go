package config

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// JoinConfiguration holds what `kubeadm join` needs.
type JoinConfiguration struct {
	metav1.TypeMeta  `json:",inline"`
	DryRun           bool              `json:"dryRun,omitempty"`
	NodeRegistration NodeRegistration  `json:"nodeRegistration,omitempty"`
	CACertPath       string            `json:"caCertPath,omitempty"`
	Discovery        Discovery         `json:"discovery"`
	ControlPlane     *JoinControlPlane `json:"controlPlane,omitempty"`
	SkipPhases       []string          `json:"skipPhases,omitempty"`
	Patches          *Patches          `json:"patches,omitempty"`
	Timeouts         *Timeouts         `json:"timeouts,omitempty"`
}

// JoinControlPlane makes the joining node a further control plane instance.
type JoinControlPlane struct {
	LocalAPIEndpoint APIEndpoint `json:"localAPIEndpoint,omitempty"`
	CertificateKey   string      `json:"certificateKey,omitempty"`
}

// Discovery says how the node learns the cluster's address and authority: by token or from a file, one of them.
type Discovery struct {
	BootstrapToken    *TokenDiscovery `json:"bootstrapToken,omitempty"`
	File              *FileDiscovery  `json:"file,omitempty"`
	TLSBootstrapToken string          `json:"tlsBootstrapToken,omitempty"`
}

// TokenDiscovery trusts the cluster-info that the token signed and whose authority matches a pinned hash.
type TokenDiscovery struct {
	Token                    string   `json:"token"`
	APIServerEndpoint        string   `json:"apiServerEndpoint,omitempty"`
	CACertHashes             []string `json:"caCertHashes,omitempty"`
	UnsafeSkipCAVerification bool     `json:"unsafeSkipCAVerification,omitempty"`
}

// FileDiscovery trusts a kubeconfig file or HTTPS URL.
type FileDiscovery struct {
	KubeConfigPath string `json:"kubeConfigPath"`
}
