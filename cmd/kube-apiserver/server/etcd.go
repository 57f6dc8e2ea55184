package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/server/egressselector"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/klog/v2"
)

// etcdPatience is how long a server waits for etcd at its start: a static pod of etcd starts beside it.
const etcdPatience = 60 * time.Second

// waitForEtcd returns when one of the servers can be reached, or says in one line why none can. What time does not
// heal, such as a certificate that fits not, is told at once.
func waitForEtcd(ctx context.Context, t storagebackend.TransportConfig, patience time.Duration) error {
	config, err := etcdTLS(t)
	if err != nil {
		return err
	}
	dial, err := etcdDialer(t)
	if err != nil {
		return err
	}
	logger := klog.FromContext(ctx)
	told := false
	var last error
	err = wait.PollUntilContextTimeout(ctx, 250*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		for _, server := range t.ServerList {
			last = reach(ctx, server, dial, config)
			if last == nil {
				return true, nil
			}
			var certificate *tls.CertificateVerificationError
			if errors.As(last, &certificate) {
				return false, last
			}
		}
		if !told {
			logger.Info("Waiting for etcd", "servers", t.ServerList, "reason", last.Error())
			told = true
		}
		return false, nil
	})
	if err == nil {
		return nil
	}
	if last != nil {
		err = last
	}
	return fmt.Errorf("etcd cannot be reached (--etcd-servers=%v): %w", t.ServerList, err)
}

func etcdTLS(t storagebackend.TransportConfig) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}}
	if t.TrustedCAFile != "" {
		pem, err := os.ReadFile(t.TrustedCAFile)
		if err != nil {
			return nil, fmt.Errorf("--etcd-cafile: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--etcd-cafile=%s: no certificate in the file", t.TrustedCAFile)
		}
	}
	if t.CertFile != "" || t.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("--etcd-certfile, --etcd-keyfile: %w", err)
		}
		if leaf, err := x509.ParseCertificate(pair.Certificate[0]); err == nil && time.Now().After(leaf.NotAfter) {
			return nil, fmt.Errorf("--etcd-certfile=%s: expired at %s", t.CertFile, leaf.NotAfter.UTC().Format(time.RFC3339))
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// etcdDialer connects by the egress selection etcd, if there is one.
func etcdDialer(t storagebackend.TransportConfig) (utilnet.DialFunc, error) {
	if t.EgressLookup != nil {
		if dial, err := t.EgressLookup(egressselector.Etcd.AsNetworkContext()); err != nil || dial != nil {
			return dial, err
		}
	}
	return (&net.Dialer{}).DialContext, nil
}

// reach connects to one server and, with https, shakes hands.
func reach(ctx context.Context, server string, dial utilnet.DialFunc, config *tls.Config) error {
	u, err := url.Parse(server)
	if err != nil {
		return err
	}
	network, address := "tcp", u.Host
	if u.Scheme == "unix" || u.Scheme == "unixs" {
		network, address = "unix", u.Path
		if address == "" {
			address = u.Host
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	conn, err := dial(ctx, network, address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if u.Scheme != "https" {
		return nil
	}
	c := config.Clone()
	c.ServerName = u.Hostname()
	return tls.Client(conn, c).HandshakeContext(ctx)
}
