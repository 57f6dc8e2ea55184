package config

import (
	"fmt"
	"math/big"
	"net"
	"net/url"
	"path/filepath"
	"sort"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	"pilotis.dev/pkg/certs"

	netutils "k8s.io/utils/net"
)

const (
	// nodeMaskV4 and nodeMaskV6 are the sizes of the range one node's pods get (kube-controller-manager's defaults).
	nodeMaskV4 = 24
	nodeMaskV6 = 64
	// maxNodeBits bounds how many node ranges a pod range may hold: the node IPAM controller's bitmap.
	maxNodeBits = 16
)

// graduated lists the feature gates of kubeadm whose behaviour is always on in this release.
func graduated() []string {
	return []string{"ControlPlaneKubeletLocalMode", "EtcdLearnerMode", "NodeLocalCRISocket", "WaitForAllControlPlaneComponents"}
}

// ValidateCluster returns every fault of a defaulted ClusterConfiguration.
func ValidateCluster(c *ClusterConfiguration) (faults field.ErrorList) {
	faults = append(faults, validateVersion(c.KubernetesVersion, field.NewPath("kubernetesVersion"))...)
	faults = append(faults, validateNetworking(c, field.NewPath("networking"))...)
	faults = append(faults, validateEtcd(&c.Etcd, field.NewPath("etcd"))...)
	if c.ControlPlaneEndpoint != "" {
		path := field.NewPath("controlPlaneEndpoint")
		host, _, err := SplitEndpoint(c.ControlPlaneEndpoint)
		if err != nil {
			faults = append(faults, field.Invalid(path, c.ControlPlaneEndpoint, err.Error()))
		} else if netutils.ParseIPSloppy(host) == nil && len(validation.IsDNS1123Subdomain(host)) > 0 {
			faults = append(faults, field.Invalid(path, c.ControlPlaneEndpoint, "the host must be an IP address or a DNS name"))
		}
	}
	faults = append(faults, validateSANs(c.APIServer.CertSANs, field.NewPath("apiServer", "certSANs"))...)
	for name, component := range map[string]*Component{"apiServer": &c.APIServer.Component, "controllerManager": &c.ControllerManager, "scheduler": &c.Scheduler} {
		faults = append(faults, validateComponent(component, field.NewPath(name))...)
	}
	if !filepath.IsAbs(c.CertificatesDir) {
		faults = append(faults, field.Invalid(field.NewPath("certificatesDir"), c.CertificatesDir, "must be an absolute path"))
	}
	known := map[certs.Algorithm]bool{}
	for _, alg := range certs.Algorithms() {
		known[alg] = true
	}
	if !known[certs.Algorithm(c.EncryptionAlgorithm)] {
		faults = append(faults, field.NotSupported(field.NewPath("encryptionAlgorithm"), certs.Algorithm(c.EncryptionAlgorithm), certs.Algorithms()))
	}
	if d := c.CertificateValidityPeriod; d != nil && d.Duration <= 0 {
		faults = append(faults, field.Invalid(field.NewPath("certificateValidityPeriod"), d.Duration.String(), "must be greater than zero"))
	}
	if d := c.CACertificateValidityPeriod; d != nil && d.Duration <= 0 {
		faults = append(faults, field.Invalid(field.NewPath("caCertificateValidityPeriod"), d.Duration.String(), "must be greater than zero"))
	}
	return append(faults, validateGates(c.FeatureGates, field.NewPath("featureGates"))...)
}

func validateVersion(text string, path *field.Path) field.ErrorList {
	v, err := utilversion.ParseSemantic(text)
	if err != nil {
		return field.ErrorList{field.Invalid(path, text, "must be a version like "+Release())}
	}
	own := utilversion.MustParseSemantic(Release())
	if v.Major() != own.Major() || v.Minor() > own.Minor() || v.Minor()+1 < own.Minor() {
		return field.ErrorList{field.Invalid(path, text, fmt.Sprintf("this kubeadm (%s) installs versions %d.%d and %d.%d: use the kubeadm of that release", Release(), own.Major(), own.Minor()-1, own.Major(), own.Minor()))}
	}
	return nil
}

func validateNetworking(c *ClusterConfiguration, path *field.Path) (faults field.ErrorList) {
	n := &c.Networking
	for _, fault := range validation.IsDNS1123Subdomain(n.DNSDomain) {
		faults = append(faults, field.Invalid(path.Child("dnsDomain"), n.DNSDomain, fault))
	}
	services, err := parseRanges(n.ServiceSubnet)
	servicePath := path.Child("serviceSubnet")
	if err != nil {
		faults = append(faults, field.Invalid(servicePath, n.ServiceSubnet, err.Error()))
	}
	for _, subnet := range services {
		// Ten addresses are needed for the DNS Service, and the allocator's bitmap holds 2^20.
		size := rangeSize(subnet)
		if size.Cmp(big.NewInt(16)) < 0 || size.Cmp(big.NewInt(1<<20)) > 0 {
			faults = append(faults, field.Invalid(servicePath, subnet.String(), "must hold between 16 and 1048576 addresses: for IPv4 a /12 to /28, for IPv6 a /108 to /124"))
		}
	}
	if n.PodSubnet == "" {
		return faults
	}
	podPath := path.Child("podSubnet")
	pods, err := parseRanges(n.PodSubnet)
	if err != nil {
		faults = append(faults, field.Invalid(podPath, n.PodSubnet, err.Error()))
	}
	for _, pod := range pods {
		faults = append(faults, validatePodRange(c, pod, podPath)...)
		for _, service := range services {
			if pod.Contains(service.IP) || service.Contains(pod.IP) {
				faults = append(faults, field.Invalid(podPath, pod.String(), "overlaps networking.serviceSubnet "+service.String()+": choose disjoint ranges"))
			}
		}
	}
	return faults
}

// validatePodRange checks that the range can be cut into the ranges of nodes.
func validatePodRange(c *ClusterConfiguration, pod *net.IPNet, path *field.Path) field.ErrorList {
	mask := nodeMaskV4
	if pod.IP.To4() == nil {
		mask = nodeMaskV6
	}
	for _, arg := range c.ControllerManager.ExtraArgs {
		name := strings.TrimPrefix(arg.Name, "node-cidr-mask-size")
		if name == "" || name == "-ipv4" && mask == nodeMaskV4 || name == "-ipv6" && mask == nodeMaskV6 {
			if _, err := fmt.Sscanf(arg.Value, "%d", &mask); err != nil {
				return field.ErrorList{field.Invalid(field.NewPath("controllerManager", "extraArgs").Key(arg.Name), arg.Value, "must be a number")}
			}
		}
		if arg.Name == "allocate-node-cidrs" && arg.Value == "false" {
			return nil
		}
	}
	ones, _ := pod.Mask.Size()
	if ones > mask || mask-ones > maxNodeBits {
		return field.ErrorList{field.Invalid(path, pod.String(), fmt.Sprintf("must be larger than a node's /%d and hold no more than 65536 of them: choose /%d to /%d, or set controllerManager.extraArgs node-cidr-mask-size", mask, mask-maxNodeBits, mask))}
	}
	return nil
}

func parseRanges(text string) ([]*net.IPNet, error) {
	parts := strings.Split(text, ",")
	ranges, err := netutils.ParseCIDRs(parts)
	if err != nil {
		return nil, fmt.Errorf("must be a range like 10.96.0.0/12, or two separated by a comma: %w", err)
	}
	if len(ranges) > 2 {
		return ranges, fmt.Errorf("must hold at most two ranges")
	}
	if len(ranges) == 2 && netutils.IsIPv6CIDR(ranges[0]) == netutils.IsIPv6CIDR(ranges[1]) {
		return ranges, fmt.Errorf("two ranges must be of different IP families")
	}
	return ranges, nil
}

func validateEtcd(e *Etcd, path *field.Path) (faults field.ErrorList) {
	if e.Local != nil && e.External != nil {
		return field.ErrorList{field.Invalid(path, "local, external", "are mutually exclusive: keep one of them")}
	}
	if l := e.Local; l != nil {
		if !filepath.IsAbs(l.DataDir) {
			faults = append(faults, field.Invalid(path.Child("local", "dataDir"), l.DataDir, "must be an absolute path"))
		}
		faults = append(faults, validateArgs(l.ExtraArgs, path.Child("local", "extraArgs"))...)
		faults = append(faults, validateSANs(l.ServerCertSANs, path.Child("local", "serverCertSANs"))...)
		faults = append(faults, validateSANs(l.PeerCertSANs, path.Child("local", "peerCertSANs"))...)
	}
	if x := e.External; x != nil {
		p := path.Child("external")
		if len(x.Endpoints) == 0 {
			faults = append(faults, field.Required(p.Child("endpoints"), "name the members of the external etcd"))
		}
		if (x.CertFile == "") != (x.KeyFile == "") {
			faults = append(faults, field.Invalid(p.Child("certFile"), x.CertFile, "must be set together with keyFile"))
		}
		for name, file := range map[string]string{"caFile": x.CAFile, "certFile": x.CertFile, "keyFile": x.KeyFile} {
			if file != "" && !filepath.IsAbs(file) {
				faults = append(faults, field.Invalid(p.Child(name), file, "must be an absolute path"))
			}
		}
		scheme := "http"
		if x.CAFile != "" {
			scheme = "https"
		}
		for i, endpoint := range x.Endpoints {
			u, err := url.Parse(endpoint)
			if err != nil || u.Scheme != scheme || u.Port() == "" || u.Hostname() == "" {
				faults = append(faults, field.Invalid(p.Child("endpoints").Index(i), endpoint, "must be "+scheme+"://host:port (https when caFile is set)"))
			}
		}
		for i, endpoint := range x.HTTPEndpoints {
			if u, err := url.Parse(endpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
				faults = append(faults, field.Invalid(p.Child("httpEndpoints").Index(i), endpoint, "must be an http or https URL"))
			}
		}
	}
	return faults
}

func validateSANs(names []string, path *field.Path) (faults field.ErrorList) {
	for i, name := range names {
		if netutils.ParseIPSloppy(name) == nil && len(validation.IsDNS1123Subdomain(name)) > 0 && len(validation.IsWildcardDNS1123Subdomain(name)) > 0 {
			faults = append(faults, field.Invalid(path.Index(i), name, "must be an IP address, a DNS name or a wildcard DNS name"))
		}
	}
	return faults
}

func validateComponent(c *Component, path *field.Path) (faults field.ErrorList) {
	faults = validateArgs(c.ExtraArgs, path.Child("extraArgs"))
	seen := map[string]bool{}
	for i, v := range c.ExtraVolumes {
		p := path.Child("extraVolumes").Index(i)
		for _, fault := range validation.IsDNS1123Label(v.Name) {
			faults = append(faults, field.Invalid(p.Child("name"), v.Name, fault))
		}
		if seen[v.Name] {
			faults = append(faults, field.Duplicate(p.Child("name"), v.Name))
		}
		seen[v.Name] = true
		if !filepath.IsAbs(v.HostPath) {
			faults = append(faults, field.Invalid(p.Child("hostPath"), v.HostPath, "must be an absolute path"))
		}
		if !filepath.IsAbs(v.MountPath) {
			faults = append(faults, field.Invalid(p.Child("mountPath"), v.MountPath, "must be an absolute path"))
		}
	}
	return faults
}

func validateGates(gates map[string]bool, path *field.Path) (faults field.ErrorList) {
	names := make([]string, 0, len(gates))
	for name := range gates {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		known := false
		for _, g := range graduated() {
			known = known || g == name
		}
		switch {
		case !known:
			faults = append(faults, field.NotSupported(path.Key(name), name, graduated()))
		case !gates[name]:
			faults = append(faults, field.Invalid(path.Key(name), false, "this gate has graduated and is always on: remove it"))
		}
	}
	return faults
}
