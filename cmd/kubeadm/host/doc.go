// Package host is the machine kubeadm runs on: what can be seen of it (ports, mounts, resolver, kernel, container runtime) and
// the few things done to it beyond files (starting and stopping the kubelet, talking to the container runtime, unmounting).
// Phases take small interfaces that *Local satisfies, so that they are tested without a machine.
package host
