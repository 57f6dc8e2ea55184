package config

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// UpgradeConfiguration holds what the `kubeadm upgrade` commands need.
type UpgradeConfiguration struct {
	metav1.TypeMeta `json:",inline"`
	Apply           UpgradeApply `json:"apply,omitempty"`
	Diff            UpgradeDiff  `json:"diff,omitempty"`
	Node            UpgradeNode  `json:"node,omitempty"`
	Plan            UpgradePlan  `json:"plan,omitempty"`
	Timeouts        *Timeouts    `json:"timeouts,omitempty"`
}

// UpgradeApply configures `kubeadm upgrade apply`. CertificateRenewal and EtcdUpgrade nil mean true.
type UpgradeApply struct {
	KubernetesVersion         string            `json:"kubernetesVersion,omitempty"`
	AllowExperimentalUpgrades bool              `json:"allowExperimentalUpgrades,omitempty"`
	AllowRCUpgrades           bool              `json:"allowRCUpgrades,omitempty"`
	CertificateRenewal        *bool             `json:"certificateRenewal,omitempty"`
	DryRun                    bool              `json:"dryRun,omitempty"`
	EtcdUpgrade               *bool             `json:"etcdUpgrade,omitempty"`
	ForceUpgrade              bool              `json:"forceUpgrade,omitempty"`
	IgnorePreflightErrors     []string          `json:"ignorePreflightErrors,omitempty"`
	Patches                   *Patches          `json:"patches,omitempty"`
	PrintConfig               bool              `json:"printConfig,omitempty"`
	SkipPhases                []string          `json:"skipPhases,omitempty"`
	ImagePullPolicy           corev1.PullPolicy `json:"imagePullPolicy,omitempty"`
	ImagePullSerial           *bool             `json:"imagePullSerial,omitempty"`
}

// UpgradeDiff configures `kubeadm upgrade diff`.
type UpgradeDiff struct {
	KubernetesVersion string `json:"kubernetesVersion,omitempty"`
	DiffContextLines  int    `json:"contextLines,omitempty"`
}

// UpgradeNode configures `kubeadm upgrade node`.
type UpgradeNode struct {
	CertificateRenewal    *bool             `json:"certificateRenewal,omitempty"`
	DryRun                bool              `json:"dryRun,omitempty"`
	EtcdUpgrade           *bool             `json:"etcdUpgrade,omitempty"`
	IgnorePreflightErrors []string          `json:"ignorePreflightErrors,omitempty"`
	SkipPhases            []string          `json:"skipPhases,omitempty"`
	Patches               *Patches          `json:"patches,omitempty"`
	ImagePullPolicy       corev1.PullPolicy `json:"imagePullPolicy,omitempty"`
	ImagePullSerial       *bool             `json:"imagePullSerial,omitempty"`
}

// UpgradePlan configures `kubeadm upgrade plan`.
type UpgradePlan struct {
	KubernetesVersion         string   `json:"kubernetesVersion,omitempty"`
	AllowExperimentalUpgrades bool     `json:"allowExperimentalUpgrades,omitempty"`
	AllowRCUpgrades           bool     `json:"allowRCUpgrades,omitempty"`
	DryRun                    bool     `json:"dryRun,omitempty"`
	EtcdUpgrade               *bool    `json:"etcdUpgrade,omitempty"`
	IgnorePreflightErrors     []string `json:"ignorePreflightErrors,omitempty"`
	PrintConfig               bool     `json:"printConfig,omitempty"`
}
