package config

import (
	"net"
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/component-base/metrics"
	metricsapi "k8s.io/component-base/metrics/api/v1"
	kubeproxyconfig "k8s.io/kube-proxy/config/v1alpha1"
	"k8s.io/utils/ptr"
)

func validate(c *kubeproxyconfig.KubeProxyConfiguration) field.ErrorList {
	var errs field.ErrorList
	if c.Mode != modeNFTables {
		errs = append(errs, field.NotSupported(field.NewPath("mode"), c.Mode, []string{modeNFTables}))
	}
	switch c.DetectLocalMode {
	case LocalModeClusterCIDR, LocalModeNodeCIDR:
	case LocalModeBridgeInterface:
		errs = append(errs, validateInterface(c.DetectLocal.BridgeInterface, field.NewPath("detectLocal", "bridgeInterface"))...)
	case LocalModeInterfaceNamePrefix:
		errs = append(errs, validateInterface(c.DetectLocal.InterfaceNamePrefix, field.NewPath("detectLocal", "interfaceNamePrefix"))...)
	default:
		errs = append(errs, field.NotSupported(field.NewPath("detectLocalMode"), c.DetectLocalMode,
			[]string{LocalModeClusterCIDR, LocalModeNodeCIDR, LocalModeBridgeInterface, LocalModeInterfaceNamePrefix}))
	}
	if c.Winkernel != (kubeproxyconfig.KubeProxyWinkernelConfiguration{}) {
		errs = append(errs, field.Forbidden(field.NewPath("winkernel"), "this kube-proxy runs on Linux alone"))
	}
	if c.WindowsRunAsService {
		errs = append(errs, field.Forbidden(field.NewPath("windowsRunAsService"), "this kube-proxy runs on Linux alone"))
	}
	if score := *c.OOMScoreAdj; score < -1000 || score > 1000 {
		errs = append(errs, field.Invalid(field.NewPath("oomScoreAdj"), score, "must be within the range [-1000, 1000]"))
	}
	hidden := metrics.Options{MetricsConfiguration: metricsapi.MetricsConfiguration{ShowHiddenMetricsForVersion: c.ShowHiddenMetricsForVersion}}
	for _, err := range hidden.Validate() {
		errs = append(errs, field.Invalid(field.NewPath("showHiddenMetricsForVersion"), c.ShowHiddenMetricsForVersion, err.Error()))
	}
	if _, err := netip.ParseAddr(c.BindAddress); err != nil {
		errs = append(errs, field.Invalid(field.NewPath("bindAddress"), c.BindAddress, "must be an IP address"))
	}
	for path, address := range map[string]string{"healthzBindAddress": c.HealthzBindAddress, "metricsBindAddress": c.MetricsBindAddress} {
		if address == "" {
			continue
		}
		if host, _, err := net.SplitHostPort(address); err != nil {
			errs = append(errs, field.Invalid(field.NewPath(path), address, "must be IP:port"))
		} else if _, err := netip.ParseAddr(host); err != nil {
			errs = append(errs, field.Invalid(field.NewPath(path), address, "must be IP:port"))
		}
	}
	if c.ClusterCIDR != "" {
		for _, cidr := range strings.Split(c.ClusterCIDR, ",") {
			if _, err := netip.ParsePrefix(cidr); err != nil {
				errs = append(errs, field.Invalid(field.NewPath("clusterCIDR"), c.ClusterCIDR, "must be CIDRs such as 10.244.0.0/16, one for each IP family"))
			}
		}
	}
	for i, a := range c.NodePortAddresses {
		switch _, err := netip.ParsePrefix(a); {
		case a == "localhost":
			errs = append(errs, field.Forbidden(field.NewPath("nodePortAddresses").Index(i), "mode nftables serves no node ports on loopback addresses"))
		case err != nil && a != "primary" && a != "all":
			errs = append(errs, field.Invalid(field.NewPath("nodePortAddresses").Index(i), a, "must be a CIDR such as 10.0.0.0/8, \"primary\" or \"all\""))
		}
	}
	if bit := ptr.Deref(c.NFTables.MasqueradeBit, 14); bit < 0 || bit > 31 {
		errs = append(errs, field.Invalid(field.NewPath("nftables", "masqueradeBit"), bit, "must be within the range [0, 31]"))
	}
	if c.NFTables.SyncPeriod.Duration <= 0 {
		errs = append(errs, field.Invalid(field.NewPath("nftables", "syncPeriod"), c.NFTables.SyncPeriod.Duration.String(), "must be greater than 0"))
	}
	if c.NFTables.MinSyncPeriod.Duration < 0 || c.NFTables.MinSyncPeriod.Duration > c.NFTables.SyncPeriod.Duration {
		errs = append(errs, field.Invalid(field.NewPath("nftables", "minSyncPeriod"), c.NFTables.MinSyncPeriod.Duration.String(), "must be between 0 and nftables.syncPeriod"))
	}
	for path, n := range map[string]*int32{"maxPerCore": c.Conntrack.MaxPerCore, "min": c.Conntrack.Min} {
		if ptr.Deref(n, 0) < 0 {
			errs = append(errs, field.Invalid(field.NewPath("conntrack", path), *n, "must be greater than or equal to 0"))
		}
	}
	return errs
}

// validateInterface holds a name, or the beginning of one, to what the kernel takes (IFNAMSIZ).
func validateInterface(name string, path *field.Path) field.ErrorList {
	switch {
	case name == "":
		return field.ErrorList{field.Required(path, "detectLocalMode needs it")}
	case len(name) > 15 || strings.ContainsAny(name, "/*\" \t\n"):
		return field.ErrorList{field.Invalid(path, name, "must be at most 15 characters without spaces, quotes, / and *")}
	}
	return nil
}
