package kubelet

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/transport"

	"pilotis.dev/cmd/kube-apiserver/resources/proxied"
)

// defaultPort is the kubelet's when a node does not tell another.
const defaultPort = 10250

// Config says how kubelets are reached and who vouches for them.
type Config struct {
	// CAFile holds the authorities of kubelets' serving certificates; without it they are not verified.
	CAFile string
	// CertFile and KeyFile are this server's client certificate; they are read again when they change.
	CertFile, KeyFile string
	// AddressTypes are tried in this order.
	AddressTypes []string
	Timeout      time.Duration
	// Dial is another way to connect, such as a tunnel. nil dials directly.
	Dial utilnet.DialFunc
	// Proxied is where clients may be proxied to.
	Proxied proxied.Rule
}

// NodeGetter finds nodes.
type NodeGetter func(ctx context.Context, name string) (*corev1.Node, error)

// Client connects to kubelets.
type Client struct {
	config            Config
	Transport         http.RoundTripper
	insecure, proxied http.RoundTripper
}

// NewClient returns a client; the certificate files must be readable.
func NewClient(c Config) (*Client, error) {
	dialer := &net.Dialer{Timeout: c.Timeout, KeepAlive: 30 * time.Second}
	connect := func(insecure bool, dialer *net.Dialer) (http.RoundTripper, error) {
		tc := &transport.Config{TLS: transport.TLSConfig{
			CAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile, ReloadTLSFiles: true, ReloadCAFiles: true,
			// Kubelets upgrade connections (exec, port forwarding), which is a matter of HTTP/1.1.
			NextProtos: []string{"http/1.1"},
		}}
		if c.CAFile == "" || insecure {
			tc.TLS.Insecure, tc.TLS.CAFile, tc.TLS.ReloadCAFiles = true, "", false
		}
		dial := c.Dial
		if dial == nil {
			dial = dialer.DialContext
		}
		tc.DialHolder = &transport.DialHolder{Dial: dial}
		return transport.New(tc)
	}
	secure, err := connect(false, dialer)
	if err != nil {
		return nil, fmt.Errorf("reading the certificates towards kubelets (--kubelet-client-certificate, --kubelet-client-key, --kubelet-certificate-authority): %w", err)
	}
	insecure, err := connect(true, dialer)
	if err != nil {
		return nil, fmt.Errorf("reading the certificates towards kubelets (--kubelet-client-certificate, --kubelet-client-key): %w", err)
	}
	elsewhere, err := connect(false, c.Proxied.Dialer(c.Timeout))
	if err != nil {
		return nil, fmt.Errorf("reading the certificates towards kubelets (--kubelet-client-certificate, --kubelet-client-key, --kubelet-certificate-authority): %w", err)
	}
	return &Client{config: c, Transport: secure, insecure: insecure, proxied: elsewhere}, nil
}

// Endpoint is where one node's kubelet answers.
type Endpoint struct {
	Host, Port string
	Transport  http.RoundTripper
	// Insecure does not verify the kubelet's certificate; a client asks for it with insecureSkipTLSVerifyBackend.
	Insecure http.RoundTripper
	// Proxied is held to the rule of the proxies, as whoever writes a Node may put any address there (CVE-2022-3294).
	Proxied http.RoundTripper
}

// URL is the address of a path at the kubelet.
func (e *Endpoint) URL(path string, query url.Values) *url.URL {
	return &url.URL{Scheme: "https", Host: net.JoinHostPort(e.Host, e.Port), Path: path, RawQuery: query.Encode()}
}

// Endpoint finds the kubelet of a node.
func (c *Client) Endpoint(node *corev1.Node) (*Endpoint, error) {
	host, err := c.address(node)
	if err != nil {
		return nil, err
	}
	port := int(node.Status.DaemonEndpoints.KubeletEndpoint.Port)
	if port == 0 {
		port = defaultPort
	}
	return &Endpoint{Host: host, Port: strconv.Itoa(port), Transport: c.Transport, Insecure: c.insecure, Proxied: c.proxied}, nil
}

func (c *Client) address(node *corev1.Node) (string, error) {
	for _, wanted := range c.config.AddressTypes {
		for _, a := range node.Status.Addresses {
			if string(a.Type) == wanted && a.Address != "" {
				return a.Address, nil
			}
		}
		// A node that told no hostname yet may still be labelled with one.
		if wanted == string(corev1.NodeHostName) {
			if name, ok := node.Labels[corev1.LabelHostname]; ok && name != "" {
				return name, nil
			}
		}
	}
	return "", fmt.Errorf("node %s has no address of the types %v (--kubelet-preferred-address-types)", node.Name, c.config.AddressTypes)
}
