package daemons

import (
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
)

// StartEtcd starts an etcd of one member whose data is in dir, without waiting for the disk, and returns its URL.
func StartEtcd(dir string) (*Daemon, string, error) {
	port, err := FreePort()
	if err != nil {
		return nil, "", err
	}
	peerPort, err := FreePort()
	if err != nil {
		return nil, "", err
	}
	url, peer := fmt.Sprintf("http://127.0.0.1:%d", port), fmt.Sprintf("http://127.0.0.1:%d", peerPort)
	d, err := Start(dir, "etcd", "--name=alone", "--data-dir="+filepath.Join(dir, "etcd"), "--listen-client-urls="+url, "--advertise-client-urls="+url,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=alone="+peer, "--unsafe-no-fsync", "--log-level=error")
	return d, url, err
}

// APIServerFlags are those of a kube-apiserver at a port of loopback, with what certificates it has from kubeadm.
func APIServerFlags(c Certificates, etcd string, port int) []string {
	at := c.At
	return []string{
		"--etcd-servers=" + etcd, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port),
		"--tls-cert-file=" + at("apiserver.crt"), "--tls-private-key-file=" + at("apiserver.key"), "--client-ca-file=" + at("ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + at("sa.pub"), "--service-account-signing-key-file=" + at("sa.key"),
		"--requestheader-client-ca-file=" + at("front-proxy-ca.crt"), "--requestheader-allowed-names=front-proxy-client", "--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + at("front-proxy-client.crt"), "--proxy-client-key-file=" + at("front-proxy-client.key"),
		"--kubelet-client-certificate=" + at("apiserver-kubelet-client.crt"), "--kubelet-client-key=" + at("apiserver-kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP,Hostname", "--enable-bootstrap-token-auth",
	}
}

// AwaitReady waits until an API server says that it is ready.
func AwaitReady(config *rest.Config) error {
	probe, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(Patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		resp, err := probe.Get(config.Host + "/readyz")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
	}
	return fmt.Errorf("kube-apiserver is not ready after %v", Patience)
}
