package app

import (
	"context"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/cmd/kubeadm/phases"
	"pilotis.dev/cmd/kubeadm/preflight"
)

// Ports of a node's daemons.
const (
	portKubelet           = 10250
	portControllerManager = 10257
	portScheduler         = 10259
	portEtcdClient        = 2379
	portEtcdPeer          = 2380
	portEtcdMetrics       = 2381
)

// controlPlaneChecks lists what only control plane nodes need.
func controlPlaneChecks(facts preflight.Facts, n *phases.Node) []preflight.Check {
	checks := []preflight.Check{
		preflight.CPUs(facts),
		preflight.Memory(facts),
		preflight.Port(facts, int(n.Endpoint.BindPort)),
		preflight.Port(facts, portScheduler),
		preflight.Port(facts, portControllerManager),
		preflight.Proxy(facts, "https", n.Endpoint.AdvertiseAddress),
	}
	for _, name := range []string{phases.APIServer, phases.ControllerManager, phases.Scheduler, phases.Etcd} {
		checks = append(checks, preflight.FileAbsent(facts, filepath.Join(phases.ManifestsDir, name+".yaml")))
	}
	if n.Cluster.Etcd.Local != nil {
		checks = append(checks,
			preflight.Port(facts, portEtcdClient), preflight.Port(facts, portEtcdPeer), preflight.Port(facts, portEtcdMetrics),
			preflight.FolderEmpty(facts, n.Cluster.Etcd.Local.DataDir),
		)
	}
	if x := n.Cluster.Etcd.External; x != nil {
		for _, file := range []string{x.CAFile, x.CertFile, x.KeyFile} {
			if file != "" {
				checks = append(checks, preflight.FilePresent(facts, file))
			}
		}
		for _, endpoint := range x.Endpoints {
			if u, err := url.Parse(endpoint); err == nil {
				checks = append(checks, preflight.Endpoint("ExternalEtcd-"+strings.ReplaceAll(u.Host, ":", "-"), u.Host, dialTCP))
			}
		}
	}
	return checks
}

// nodeChecks lists what every node needs.
func nodeChecks(facts preflight.Facts, n *phases.Node) []preflight.Check {
	return append(clusterChecks(facts, n), machineChecks(facts, n)...)
}

// clusterChecks lists what depends on the cluster that the node becomes a part of.
func clusterChecks(facts preflight.Facts, n *phases.Node) []preflight.Check {
	cgroupV1 := n.KubeletCfg != nil && n.KubeletCfg.FailCgroupV1 != nil && !*n.KubeletCfg.FailCgroupV1
	version := config.Release()
	if n.Cluster != nil {
		version = n.Cluster.KubernetesVersion
	}
	return []preflight.Check{
		preflight.System(facts, version, cgroupV1),
		preflight.KubeletVersion(facts, version),
	}
}

// machineChecks lists what can be told before the cluster is known.
func machineChecks(facts preflight.Facts, n *phases.Node) []preflight.Check {
	checks := []preflight.Check{
		preflight.KubeletUnit(facts),
		preflight.Firewalld(facts, int(n.Endpoint.BindPort), portKubelet),
		preflight.Port(facts, portKubelet),
		preflight.Sysctl(facts, "/proc/sys/net/ipv4/ip_forward", "1"),
		preflight.Swap(facts),
		preflight.Hostname(n.Registration.Name, net.LookupHost),
		preflight.Executable(facts, "mount", true),
		preflight.Executable(facts, "nsenter", false),
		preflight.Executable(facts, "ip", false),
		preflight.Executable(facts, "ethtool", false),
		preflight.Executable(facts, "tc", false),
		preflight.Executable(facts, "touch", false),
	}
	if isIPv6(n.Endpoint.AdvertiseAddress) {
		checks = append(checks, preflight.Sysctl(facts, "/proc/sys/net/ipv6/conf/default/forwarding", "1"))
	}
	return checks
}

func pullPolicy(r *config.NodeRegistration) preflight.PullPolicy {
	return preflight.PullPolicy{
		Always: r.ImagePullPolicy == corev1.PullAlways, Never: r.ImagePullPolicy == corev1.PullNever,
		Parallel: r.ImagePullSerial != nil && !*r.ImagePullSerial,
	}
}

// dialTCP asks whether somebody listens at an address the user named.
func dialTCP(ctx context.Context, address string) error {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}
