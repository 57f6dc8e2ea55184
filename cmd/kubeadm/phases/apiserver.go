package phases

import (
	"net"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"pilotis.dev/cmd/kubeadm/config"
)

func (n *Node) apiServer() component {
	c := n.Cluster
	defaults := []config.Arg{
		{Name: "advertise-address", Value: n.Endpoint.AdvertiseAddress},
		{Name: "allow-privileged", Value: "true"},
		{Name: "authorization-mode", Value: "Node,RBAC"},
		{Name: "client-ca-file", Value: n.pki("ca.crt")},
		{Name: "enable-admission-plugins", Value: "NodeRestriction"},
		{Name: "enable-bootstrap-token-auth", Value: "true"},
		{Name: "kubelet-client-certificate", Value: n.pki("apiserver-kubelet-client.crt")},
		{Name: "kubelet-client-key", Value: n.pki("apiserver-kubelet-client.key")},
		{Name: "kubelet-preferred-address-types", Value: "InternalIP,ExternalIP,Hostname"},
		{Name: "proxy-client-cert-file", Value: n.pki("front-proxy-client.crt")},
		{Name: "proxy-client-key-file", Value: n.pki("front-proxy-client.key")},
		{Name: "requestheader-allowed-names", Value: "front-proxy-client"},
		{Name: "requestheader-client-ca-file", Value: n.pki("front-proxy-ca.crt")},
		{Name: "requestheader-extra-headers-prefix", Value: "X-Remote-Extra-"},
		{Name: "requestheader-group-headers", Value: "X-Remote-Group"},
		{Name: "requestheader-username-headers", Value: "X-Remote-User"},
		{Name: "secure-port", Value: strconv.Itoa(int(n.Endpoint.BindPort))},
		{Name: "service-account-issuer", Value: "https://kubernetes.default.svc." + c.Networking.DNSDomain},
		{Name: "service-account-key-file", Value: n.pki(serviceAccountPub)},
		{Name: "service-account-signing-key-file", Value: n.pki(serviceAccountKey)},
		{Name: "service-cluster-ip-range", Value: c.Networking.ServiceSubnet},
		{Name: "tls-cert-file", Value: n.pki("apiserver.crt")},
		{Name: "tls-private-key-file", Value: n.pki("apiserver.key")},
	}
	mounts := append(caMounts(n.exists), n.certificatesMount("k8s-certs"))
	if x := c.Etcd.External; x != nil {
		defaults = append(defaults, config.Arg{Name: "etcd-servers", Value: joinList(x.Endpoints...)})
		for name, file := range map[string]string{"etcd-cafile": x.CAFile, "etcd-certfile": x.CertFile, "etcd-keyfile": x.KeyFile} {
			if file != "" {
				defaults = append(defaults, config.Arg{Name: name, Value: file})
			}
		}
		mounts = append(mounts, externalEtcdMounts(x, c.CertificatesDir)...)
	} else {
		loopback := "127.0.0.1"
		if ip := net.ParseIP(n.Endpoint.AdvertiseAddress); ip != nil && ip.To4() == nil {
			loopback = "::1"
		}
		defaults = append(defaults,
			config.Arg{Name: "etcd-cafile", Value: n.pki("etcd/ca.crt")},
			config.Arg{Name: "etcd-certfile", Value: n.pki("apiserver-etcd-client.crt")},
			config.Arg{Name: "etcd-keyfile", Value: n.pki("apiserver-etcd-client.key")},
			config.Arg{Name: "etcd-servers", Value: etcdURL(loopback, strconv.Itoa(etcdClientPort))},
		)
	}
	extra := c.APIServer.ExtraArgs
	// A structured authorization configuration and the flag exclude each other.
	if argOf(extra, "authorization-config", "") != "" {
		kept := defaults[:0]
		for _, arg := range defaults {
			if arg.Name != "authorization-mode" {
				kept = append(kept, arg)
			}
		}
		defaults = kept
	}
	return component{
		name: APIServer, image: config.ImagesOf(c).APIServer,
		annotations: map[string]string{"kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint": n.Endpoint.HostPort()},
		defaults:    defaults, extra: extra, envs: c.APIServer.ExtraEnvs, cpu: "250m",
		mounts: append(mounts, c.APIServer.ExtraVolumes...),
		probe: probe{
			host: argOf(extra, "advertise-address", n.Endpoint.AdvertiseAddress), port: portOf(extra, "secure-port", n.Endpoint.BindPort),
			scheme: corev1.URISchemeHTTPS, live: "/livez", ready: "/readyz", startup: "/livez",
		},
	}
}

// externalEtcdMounts makes the client certificates of an external etcd visible where they lie outside the mounted folders.
func externalEtcdMounts(x *config.ExternalEtcd, certificatesDir string) (mounts []config.HostPathMount) {
	seen := map[string]bool{".": true, certificatesDir: true, "/etc/ssl/certs": true}
	for i, file := range []string{x.CAFile, x.CertFile, x.KeyFile} {
		dir := filepath.Dir(file)
		if file == "" || seen[dir] || filepath.Dir(dir) == certificatesDir {
			continue
		}
		seen[dir] = true
		mounts = append(mounts, config.HostPathMount{Name: "etcd-certs-" + strconv.Itoa(i), HostPath: dir, MountPath: dir, ReadOnly: true, PathType: corev1.HostPathDirectoryOrCreate})
	}
	return mounts
}
