package config

import (
	"k8s.io/apimachinery/pkg/util/validation/field"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
)

// validateRefused names the fields that are set to what this kubelet does not do: it says so instead of ignoring them.
func validateRefused(f *faults, c *kubeletconfig.KubeletConfiguration) {
	for _, r := range []struct {
		set          bool
		name, reason string
	}{
		{!*c.EnableControllerAttachDetach, "enableControllerAttachDetach", "volumes are attached by the controller manager alone: it must be true"},
		{c.ConfigMapAndSecretChangeDetectionStrategy != kubeletconfig.WatchChangeDetectionStrategy, "configMapAndSecretChangeDetectionStrategy", "ConfigMaps and Secrets are watched: it must be Watch"},
		{c.ImagePullCredentialsVerificationPolicy != kubeletconfig.NeverVerify, "imagePullCredentialsVerificationPolicy", "whoever may run pods on a node may use its images, give pods imagePullPolicy: Always where that matters: it must be NeverVerify"},
		{len(c.PreloadedImagesVerificationAllowlist) > 0, "preloadedImagesVerificationAllowlist", "it belongs to other values of imagePullCredentialsVerificationPolicy than NeverVerify"},
		{*c.EnableSystemLogQuery, "enableSystemLogQuery", "the node's journal cannot be queried: it must be false"},
		{len(c.CPUManagerPolicyOptions) > 0, "cpuManagerPolicyOptions", "policy none has no options"},
		{len(c.TopologyManagerPolicyOptions) > 0, "topologyManagerPolicyOptions", "policy none has no options"},
		{len(c.ReservedMemory) > 0, "reservedMemory", "memoryManagerPolicy None reserves none: use systemReserved and kubeReserved"},
		{len(c.QOSReserved) > 0, "qosReserved", "memory is not kept for QoS classes"},
		{c.MemoryThrottlingFactor != nil, "memoryThrottlingFactor", "it belongs to the alpha feature MemoryQoS, which this kubelet has not"},
		{c.MemoryReservationPolicy != "" && c.MemoryReservationPolicy != kubeletconfig.NoneMemoryReservationPolicy, "memoryReservationPolicy", "it belongs to the alpha feature MemoryQoS, which this kubelet has not: it must be None"},
		{c.Tracing != nil, "tracing", "this kubelet sends no traces"},
		{c.KernelMemcgNotification, "kernelMemcgNotification", "memory is measured by the kubelet itself: it must be false"},
		{c.MemorySwap.SwapBehavior == "LimitedSwap", "memorySwap.swapBehavior", "pods do not swap: it must be NoSwap"},
		{c.SystemCgroups != "", "systemCgroups", "the kubelet moves no processes but itself (kubeletCgroups): leave that to the init system"},
		{c.ShutdownGracePeriod.Duration != 0 || c.ShutdownGracePeriodCriticalPods.Duration != 0, "shutdownGracePeriod", "this kubelet does not delay a shutdown of its machine: drain the node before"},
		{len(c.ShutdownGracePeriodByPodPriority) > 0, "shutdownGracePeriodByPodPriority", "this kubelet does not delay a shutdown of its machine: drain the node before"},
	} {
		if r.set {
			f.list = append(f.list, field.Forbidden(field.NewPath(r.name), r.reason))
		}
	}
}
