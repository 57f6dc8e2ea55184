package server

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/storage/storagebackend"
)

// A server that cannot reach etcd says in one line what is wrong and where.
func TestEtcdFaults(t *testing.T) {
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://127.0.0.1:" + itoa(port)
	bad := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(bad, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name      string
		transport storagebackend.TransportConfig
		want      []string
	}{
		{"nobody listens", storagebackend.TransportConfig{ServerList: []string{closed}}, []string{"--etcd-servers", closed, "connection refused"}},
		{"missing CA", storagebackend.TransportConfig{ServerList: []string{closed}, TrustedCAFile: bad + ".none"}, []string{"--etcd-cafile", "no such file"}},
		{"empty CA", storagebackend.TransportConfig{ServerList: []string{closed}, TrustedCAFile: bad}, []string{"--etcd-cafile", "no certificate"}},
		{"missing key", storagebackend.TransportConfig{ServerList: []string{closed}, CertFile: bad, KeyFile: bad + ".key"}, []string{"--etcd-certfile"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := waitForEtcd(t.Context(), tt.transport, 10*time.Millisecond)
			if err == nil {
				t.Fatal("no error")
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

func TestOccupiedPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	s := serve(t)
	o := NewOptions()
	o.Etcd.StorageConfig.Transport.ServerList = s.etcd.Endpoints()
	o.Serving.BindAddress, o.Serving.BindPort = net.IPv4(127, 0, 0, 1), l.Addr().(*net.TCPAddr).Port
	o.Serving.ServerCert.CertDirectory = t.TempDir()
	if err := o.Services.Complete(); err != nil {
		t.Fatal(err)
	}
	_, err = newConfig(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), itoa(l.Addr().(*net.TCPAddr).Port)) || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v", err)
	}
}
