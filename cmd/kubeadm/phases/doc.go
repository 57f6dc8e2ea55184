// Package phases holds what kubeadm does, one file a phase: certificates, kubeconfigs, static pods, the kubelet's files, waiting, the
// objects a cluster starts with, the add-ons, joining, resetting, upgrading.
//
// What a phase writes is decided by pure functions of the configuration (StaticPod, Certificates, Addon …), which golden tests
// cover; a thin method of Node, Init or Join carries it out and prints the line users know.
package phases
