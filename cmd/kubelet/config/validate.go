package config

import (
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
)

// validate returns every fault of a defaulted configuration.
func validate(c *kubeletconfig.KubeletConfiguration) field.ErrorList {
	var errs field.ErrorList
	port := func(name string, value int32) {
		if value < 0 || value > 65535 {
			errs = append(errs, field.Invalid(field.NewPath(name), value, "must be between 0 and 65535, inclusive"))
		}
	}
	port("port", c.Port)
	port("healthzPort", *c.HealthzPort)
	for name, value := range map[string]string{"address": c.Address, "healthzBindAddress": c.HealthzBindAddress} {
		if _, err := netip.ParseAddr(value); err != nil {
			errs = append(errs, field.Invalid(field.NewPath(name), value, "must be an IP address"))
		}
	}
	for i, dns := range c.ClusterDNS {
		if _, err := netip.ParseAddr(dns); err != nil {
			errs = append(errs, field.Invalid(field.NewPath("clusterDNS").Index(i), dns, "must be an IP address"))
		}
	}
	if c.CgroupDriver != "cgroupfs" && c.CgroupDriver != "systemd" {
		errs = append(errs, field.NotSupported(field.NewPath("cgroupDriver"), c.CgroupDriver, []string{"cgroupfs", "systemd"}))
	}
	if m := c.Authorization.Mode; m != kubeletconfig.KubeletAuthorizationModeAlwaysAllow && m != kubeletconfig.KubeletAuthorizationModeWebhook {
		errs = append(errs, field.NotSupported(field.NewPath("authorization", "mode"), m, []kubeletconfig.KubeletAuthorizationMode{kubeletconfig.KubeletAuthorizationModeAlwaysAllow, kubeletconfig.KubeletAuthorizationModeWebhook}))
	}
	for name, policy := range map[string]string{"cpuManagerPolicy": c.CPUManagerPolicy, "topologyManagerPolicy": c.TopologyManagerPolicy} {
		if policy != "" && policy != "none" {
			errs = append(errs, field.NotSupported(field.NewPath(name), policy, []string{"none"}))
		}
	}
	if p := c.MemoryManagerPolicy; p != "" && p != "None" {
		errs = append(errs, field.NotSupported(field.NewPath("memoryManagerPolicy"), p, []string{"None"}))
	}
	if c.MaxPods < 0 {
		errs = append(errs, field.Invalid(field.NewPath("maxPods"), c.MaxPods, "must be greater than or equal to 0"))
	}
	if high, low := *c.ImageGCHighThresholdPercent, *c.ImageGCLowThresholdPercent; high < 0 || high > 100 || low < 0 || low > 100 || low > high {
		errs = append(errs, field.Invalid(field.NewPath("imageGCLowThresholdPercent"), low, "must be between 0 and imageGCHighThresholdPercent, which must not exceed 100"))
	}
	for name, list := range map[string]map[string]string{"systemReserved": c.SystemReserved, "kubeReserved": c.KubeReserved} {
		for key, value := range list {
			if _, err := resource.ParseQuantity(value); err != nil {
				errs = append(errs, field.Invalid(field.NewPath(name).Key(key), value, err.Error()))
			}
		}
	}
	for signal, value := range c.EvictionHard {
		if strings.HasSuffix(value, "%") {
			continue
		}
		if _, err := resource.ParseQuantity(value); err != nil {
			errs = append(errs, field.Invalid(field.NewPath("evictionHard").Key(signal), value, err.Error()))
		}
	}
	if _, err := resource.ParseQuantity(c.ContainerLogMaxSize); err != nil {
		errs = append(errs, field.Invalid(field.NewPath("containerLogMaxSize"), c.ContainerLogMaxSize, err.Error()))
	}
	if *c.ContainerLogMaxFiles < 2 {
		errs = append(errs, field.Invalid(field.NewPath("containerLogMaxFiles"), *c.ContainerLogMaxFiles, "must be greater than 1"))
	}
	if (c.TLSCertFile == "") != (c.TLSPrivateKeyFile == "") {
		errs = append(errs, field.Invalid(field.NewPath("tlsPrivateKeyFile"), c.TLSPrivateKeyFile, "tlsCertFile and tlsPrivateKeyFile come together"))
	}
	return errs
}
