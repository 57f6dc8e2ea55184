package server

import (
	"fmt"
	"net"
	"strings"

	"github.com/spf13/pflag"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	netutils "k8s.io/utils/net"
)

// defaultServiceRange is used with a warning when no range is given.
const defaultServiceRange = "10.0.0.0/24"

// ServiceOptions say which addresses and ports Services get.
type ServiceOptions struct {
	ClusterIPRange string // one CIDR, or one of each family
	NodePorts      utilnet.PortRange
	// KubernetesNodePort, when not 0, makes the Service default/kubernetes a NodePort Service.
	KubernetesNodePort int

	ranges []*net.IPNet
}

// NewServiceOptions returns the usual node port range.
func NewServiceOptions() *ServiceOptions {
	return &ServiceOptions{NodePorts: utilnet.PortRange{Base: 30000, Size: 2768}}
}

// AddFlags adds the flags to fs.
func (o *ServiceOptions) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.ClusterIPRange, "service-cluster-ip-range", o.ClusterIPRange,
		"Range of Service addresses as a CIDR, or two of different families separated by a comma for dual stack. Must not overlap with pod or node addresses.")
	fs.Var(&o.NodePorts, "service-node-port-range", "Ports reserved for Services of type NodePort and LoadBalancer, for example 30000-32767.")
	fs.IntVar(&o.KubernetesNodePort, "kubernetes-service-node-port", o.KubernetesNodePort,
		"When not 0, the Service default/kubernetes is of type NodePort with this port.")
}

// Complete parses the ranges.
func (o *ServiceOptions) Complete() error {
	text := o.ClusterIPRange
	if text == "" {
		text = defaultServiceRange
	}
	o.ranges = nil
	for _, s := range strings.Split(text, ",") {
		_, r, err := netutils.ParseCIDRSloppy(strings.TrimSpace(s))
		if err != nil {
			return fmt.Errorf("--service-cluster-ip-range=%s: %q is no CIDR: %w", o.ClusterIPRange, s, err)
		}
		o.ranges = append(o.ranges, r)
	}
	return nil
}

// Ranges are the Service CIDRs, the primary first.
func (o *ServiceOptions) Ranges() []*net.IPNet { return o.ranges }

// Validate returns every fault of the flags.
func (o *ServiceOptions) Validate() []error {
	var errs []error
	if len(o.ranges) > 2 {
		errs = append(errs, fmt.Errorf("--service-cluster-ip-range=%s: at most two ranges are possible", o.ClusterIPRange))
	}
	if len(o.ranges) == 2 && netutils.IsIPv6CIDR(o.ranges[0]) == netutils.IsIPv6CIDR(o.ranges[1]) {
		errs = append(errs, fmt.Errorf("--service-cluster-ip-range=%s: two ranges must be of different IP families", o.ClusterIPRange))
	}
	for _, r := range o.ranges {
		if netutils.RangeSize(r) < 8 {
			errs = append(errs, fmt.Errorf("--service-cluster-ip-range=%s: %s has less than 8 addresses", o.ClusterIPRange, r))
		}
	}
	if o.KubernetesNodePort != 0 && !o.NodePorts.Contains(o.KubernetesNodePort) {
		errs = append(errs, fmt.Errorf("--kubernetes-service-node-port=%d: not in --service-node-port-range=%s", o.KubernetesNodePort, o.NodePorts.String()))
	}
	return errs
}

// firstAddress is the address of the Service default/kubernetes in a range: the first after the network address.
func firstAddress(r *net.IPNet) (net.IP, error) {
	ip, err := netutils.GetIndexedIP(r, 1)
	if err != nil {
		return nil, fmt.Errorf("service range %s has no first address: %w", r, err)
	}
	return ip, nil
}
