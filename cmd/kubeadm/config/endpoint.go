package config

import (
	"fmt"
	"math/big"
	"net"
	"strconv"
	"strings"

	netutils "k8s.io/utils/net"
)

// HostPort returns the endpoint as host:port, IPv6 addresses in brackets.
func (e APIEndpoint) HostPort() string {
	return net.JoinHostPort(e.AdvertiseAddress, strconv.Itoa(int(e.BindPort)))
}

// Endpoint returns host:port under which clients reach the control plane: controlPlaneEndpoint when it is set (its port defaults to
// that of the local API server), else the local API server.
func Endpoint(c *ClusterConfiguration, local APIEndpoint) (string, error) {
	if c.ControlPlaneEndpoint == "" {
		return local.HostPort(), nil
	}
	host, port, err := SplitEndpoint(c.ControlPlaneEndpoint)
	if err != nil {
		return "", err
	}
	if port == "" {
		port = strconv.Itoa(int(local.BindPort))
	}
	return net.JoinHostPort(host, port), nil
}

// SplitEndpoint parses host[:port]; a bare IPv6 address is taken as a host.
func SplitEndpoint(endpoint string) (host, port string, err error) {
	if netutils.ParseIPSloppy(endpoint) != nil {
		return endpoint, "", nil
	}
	if !strings.Contains(endpoint, ":") {
		return endpoint, "", nil
	}
	host, port, err = net.SplitHostPort(endpoint)
	if err != nil {
		return "", "", fmt.Errorf("%q is no host[:port]: %w", endpoint, err)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", "", fmt.Errorf("%q: the port must be a number from 1 to 65535", endpoint)
	}
	return host, port, nil
}

// AddressIn returns the n-th address of the first range of a (possibly dual-stack) CIDR list.
func AddressIn(cidrs string, n int64) (net.IP, error) {
	first, _, _ := strings.Cut(cidrs, ",")
	_, subnet, err := netutils.ParseCIDRSloppy(first)
	if err != nil {
		return nil, err
	}
	ip := netutils.AddIPOffset(netutils.BigForIP(subnet.IP), int(n))
	if !subnet.Contains(ip) {
		return nil, fmt.Errorf("range %s is too small to hold address number %d", first, n)
	}
	if v4 := ip.To4(); v4 != nil {
		return v4, nil
	}
	return ip, nil
}

// ServiceIP is the address of the `kubernetes` Service: the first of the service range.
func (n Networking) ServiceIP() (net.IP, error) { return AddressIn(n.ServiceSubnet, 1) }

// DNSIP is the address of the cluster DNS Service: the tenth of the service range.
func (n Networking) DNSIP() (net.IP, error) { return AddressIn(n.ServiceSubnet, 10) }

// rangeSize returns how many addresses a subnet has.
func rangeSize(subnet *net.IPNet) *big.Int {
	ones, bits := subnet.Mask.Size()
	return new(big.Int).Lsh(big.NewInt(1), uint(bits-ones))
}
