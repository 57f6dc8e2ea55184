// Package cluster runs a whole Pilotis cluster on one machine without touching it: every node is a set of
// namespaces (network, mount, PID, UTS, IPC, cgroup) with its own containerd and kubelet, bootstrapped by the
// same kubeadm as a real host, on a private switch that has no route outside.
package cluster
