package phases

import (
	"fmt"
	"net"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"pilotis.dev/cmd/kubeadm/config"
)

const (
	etcdClientPort  = 2379
	etcdPeerPort    = 2380
	etcdMetricsPort = 2381
)

// etcdURL is where a member listens.
func etcdURL(host, port string) string { return "https://" + net.JoinHostPort(host, port) }

// etcd is a member that listens on loopback and on the node's address, both only with client certificates. Its health is served on
// a third port without TLS, on loopback alone (https://etcd.io/docs/latest/op-guide/monitoring/).
func (n *Node) etcd() component {
	local := n.Cluster.Etcd.Local
	name, address := n.Registration.Name, n.Endpoint.AdvertiseAddress
	client, peer := etcdURL(address, "2379"), etcdURL(address, "2380")
	loopback := "127.0.0.1"
	if ip := net.ParseIP(address); ip != nil && ip.To4() == nil {
		loopback = "::1"
	}
	defaults := []config.Arg{
		{Name: "advertise-client-urls", Value: client},
		{Name: "cert-file", Value: n.pki("etcd/server.crt")},
		{Name: "client-cert-auth", Value: "true"},
		{Name: "data-dir", Value: local.DataDir},
		{Name: "feature-gates", Value: "InitialCorruptCheck=true"},
		{Name: "initial-advertise-peer-urls", Value: peer},
		{Name: "initial-cluster", Value: name + "=" + peer},
		{Name: "key-file", Value: n.pki("etcd/server.key")},
		{Name: "listen-client-urls", Value: joinList(etcdURL(loopback, "2379"), client)},
		{Name: "listen-metrics-urls", Value: "http://" + net.JoinHostPort(loopback, "2381")},
		{Name: "listen-peer-urls", Value: peer},
		{Name: "name", Value: name},
		{Name: "peer-cert-file", Value: n.pki("etcd/peer.crt")},
		{Name: "peer-client-cert-auth", Value: "true"},
		{Name: "peer-key-file", Value: n.pki("etcd/peer.key")},
		{Name: "peer-trusted-ca-file", Value: n.pki("etcd/ca.crt")},
		{Name: "snapshot-count", Value: "10000"},
		{Name: "trusted-ca-file", Value: n.pki("etcd/ca.crt")},
		{Name: "watch-progress-notify-interval", Value: "5s"},
	}
	if len(n.EtcdMembers) > 0 {
		defaults = append(defaults, config.Arg{Name: "initial-cluster-state", Value: "existing"})
		for i := range defaults {
			if defaults[i].Name == "initial-cluster" {
				defaults[i].Value = initialCluster(n.EtcdMembers)
			}
		}
	}
	host, port := metricsEndpoint(local.ExtraArgs, loopback)
	return component{
		name:        Etcd,
		image:       config.ImagesOf(n.Cluster).Etcd,
		annotations: map[string]string{"kubeadm.kubernetes.io/etcd.advertise-client-urls": client},
		defaults:    defaults,
		extra:       local.ExtraArgs,
		envs:        local.ExtraEnvs,
		cpu:         "100m", memory: "100Mi",
		mounts: []config.HostPathMount{
			{Name: "etcd-data", HostPath: local.DataDir, MountPath: local.DataDir, PathType: corev1.HostPathDirectoryOrCreate},
			{Name: "etcd-certs", HostPath: n.pki("etcd"), MountPath: n.pki("etcd"), ReadOnly: true, PathType: corev1.HostPathDirectoryOrCreate},
		},
		probe: probe{host: host, port: port, scheme: corev1.URISchemeHTTP, live: "/livez", ready: "/readyz", startup: "/readyz"},
	}
}

// metricsEndpoint follows a user's own listen-metrics-urls with the probes.
func metricsEndpoint(extra []config.Arg, loopback string) (host string, port int32) {
	first, _, _ := strings.Cut(argOf(extra, "listen-metrics-urls", ""), ",")
	address := strings.TrimPrefix(strings.TrimPrefix(first, "http://"), "https://")
	h, p, err := net.SplitHostPort(address)
	if err != nil {
		return loopback, etcdMetricsPort
	}
	return probeHost(h), portOf([]config.Arg{{Name: "p", Value: p}}, "p", etcdMetricsPort)
}

// initialCluster renders the members a joining one is told of.
func initialCluster(members map[string]string) string {
	var list []string
	for name, peer := range members {
		list = append(list, name+"="+peer)
	}
	sort.Strings(list)
	return strings.Join(list, ",")
}

// EtcdName reads the name of this node's etcd member from its manifest.
func (n *Node) EtcdName() (string, error) {
	pod, err := readPod(n.Manifest(Etcd))
	if err != nil {
		return "", err
	}
	for _, container := range pod.Spec.Containers {
		for _, arg := range container.Command {
			if name, ok := strings.CutPrefix(arg, "--name="); ok {
				return name, nil
			}
		}
	}
	return "", fmt.Errorf("%s: the command has no --name", n.Manifest(Etcd))
}
