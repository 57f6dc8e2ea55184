package config

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// InitConfiguration holds what `kubeadm init` needs and no later command sees again.
type InitConfiguration struct {
	metav1.TypeMeta  `json:",inline"`
	BootstrapTokens  []BootstrapToken `json:"bootstrapTokens,omitempty"`
	DryRun           bool             `json:"dryRun,omitempty"`
	NodeRegistration NodeRegistration `json:"nodeRegistration,omitempty"`
	LocalAPIEndpoint APIEndpoint      `json:"localAPIEndpoint,omitempty"`
	CertificateKey   string           `json:"certificateKey,omitempty"`
	SkipPhases       []string         `json:"skipPhases,omitempty"`
	Patches          *Patches         `json:"patches,omitempty"`
	Timeouts         *Timeouts        `json:"timeouts,omitempty"`
}
