package config

import kubeletconfig "k8s.io/kubelet/config/v1beta1"

// Unsupported names the fields that are set and have no effect in this kubelet, for a warning when it starts.
func Unsupported(c *kubeletconfig.KubeletConfiguration) []string {
	var names []string
	for _, f := range []struct {
		set  bool
		name string
	}{
		{c.ShutdownGracePeriod.Duration != 0 || len(c.ShutdownGracePeriodByPodPriority) > 0, "shutdownGracePeriod"},
		{c.ReservedSystemCPUs != "", "reservedSystemCPUs"},
		{len(c.ReservedMemory) > 0, "reservedMemory"},
		{len(c.QOSReserved) > 0, "qosReserved"},
		{c.MemoryThrottlingFactor != nil, "memoryThrottlingFactor"},
		{c.MemoryReservationPolicy != "" && c.MemoryReservationPolicy != kubeletconfig.NoneMemoryReservationPolicy, "memoryReservationPolicy"},
		{c.Tracing != nil, "tracing"},
		{c.KernelMemcgNotification, "kernelMemcgNotification"},
		{c.MemorySwap.SwapBehavior == "LimitedSwap", "memorySwap.swapBehavior"},
		{c.SystemCgroups != "", "systemCgroups"},
		{c.ImagePullCredentialsVerificationPolicy == kubeletconfig.AlwaysVerify, "imagePullCredentialsVerificationPolicy"},
	} {
		if f.set {
			names = append(names, f.name)
		}
	}
	return names
}
