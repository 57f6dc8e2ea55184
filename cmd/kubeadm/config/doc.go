// Package config holds kubeadm's configuration: the kinds of kubeadm.k8s.io/v1beta4 (InitConfiguration, ClusterConfiguration,
// JoinConfiguration, ResetConfiguration, UpgradeConfiguration), their defaults, their validation, and the reading and writing of
// files that hold several of them next to a KubeletConfiguration and a KubeProxyConfiguration.
//
// The wire form is the documented one (https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/), so files
// written for upstream's kubeadm are read unchanged. Decoding is strict: an unknown or doubled field is an error that names it.
package config
