package daemons

import (
	"fmt"
	"path/filepath"
)

// Plane is how an etcd and an API server on loopback are started, which keep what they have in Dir.
type Plane struct {
	Certificates
	Etcd, Server []string // flags
}

// NewPlane makes the certificates and the flags.
func NewPlane(dir string) (Plane, error) {
	var ports [3]int
	for i := range ports {
		var err error
		if ports[i], err = FreePort(); err != nil {
			return Plane{}, err
		}
	}
	certificates, err := NewCertificates(dir, ports[0])
	if err != nil {
		return Plane{}, err
	}
	at := certificates.At
	etcd, peer := fmt.Sprintf("http://127.0.0.1:%d", ports[1]), fmt.Sprintf("http://127.0.0.1:%d", ports[2])
	return Plane{
		Certificates: certificates,
		Etcd: []string{
			"--name=alone", "--data-dir=" + filepath.Join(dir, "etcd"), "--listen-client-urls=" + etcd, "--advertise-client-urls=" + etcd,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=alone=" + peer, "--log-level=error",
		},
		Server: []string{
			"--etcd-servers=" + etcd, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", ports[0]),
			"--tls-cert-file=" + at("apiserver.crt"), "--tls-private-key-file=" + at("apiserver.key"), "--client-ca-file=" + at("ca.crt"),
			"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + at("sa.pub"), "--service-account-signing-key-file=" + at("sa.key"),
			"--authorization-mode=Node,RBAC", "--service-cluster-ip-range=10.0.0.0/24",
		},
	}, nil
}
