package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/certificate"
	"k8s.io/client-go/util/connrotation"
	"k8s.io/klog/v2"
)

// Access says how the node reaches its API server.
type Access struct {
	Kubeconfig string
	// Bootstrap, a kubeconfig with a credential that may only ask for a certificate, serves while Kubeconfig does not
	// exist or its certificate has expired (documentation of TLS bootstrapping).
	Bootstrap string
	CertDir   string // of kubelet-client-current.pem
	NodeName  string
	Rotate    bool // rotateCertificates
	// Tune sets rate limits, user agent and content type of clients.
	Tune func(*rest.Config)
}

// Credentials are a client configuration whose certificate is renewed while it is in use.
type Credentials struct {
	Config   *rest.Config
	tracker  *connrotation.ConnectionTracker
	manager  certificate.Manager // nil: the kubeconfig's own credential serves for ever
	certFile string
}

const (
	dialTimeout = 30 * time.Second
	keepAlive   = 30 * time.Second
	// settle is given to the certificate manager to hand out a new certificate before connections with the old one
	// are closed.
	settle = time.Second
)

// CloseConnections makes every connection to the API server be opened anew.
func (c *Credentials) CloseConnections() { c.tracker.CloseAll() }

// Run renews the certificate until ctx ends.
func (c *Credentials) Run(ctx context.Context) {
	if c.manager == nil {
		return
	}
	c.manager.Start()
	<-ctx.Done()
	c.manager.Stop()
}

// Ready reports whether there is a credential yet.
func (c *Credentials) Ready() bool { return c.manager == nil || c.manager.Current() != nil }

// Load reads the kubeconfig, or prepares to get one with the bootstrap credential. Nothing is asked of the API server
// before Run: static pods, the API server itself perhaps, start first.
func Load(ctx context.Context, a Access) (*Credentials, error) {
	own, fault := readKubeconfig(a.Kubeconfig)
	if fault == nil {
		fault = usableCredential(own)
	}
	c := &Credentials{tracker: connrotation.NewConnectionTracker()}
	if fault == nil {
		if !a.Rotate || !hasCertificate(own) {
			c.Config = rest.CopyConfig(own)
			c.dialer(c.Config)
			a.tune(c.Config)
			return c, nil
		}
		return c.rotating(ctx, a, own, own)
	}
	if a.Bootstrap == "" {
		return nil, fmt.Errorf("--kubeconfig %s: %w; --bootstrap-kubeconfig is not set", a.Kubeconfig, fault)
	}
	bootstrap, err := readKubeconfig(a.Bootstrap)
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig %s: %w; unable to load bootstrap kubeconfig: %w", a.Kubeconfig, fault, err)
	}
	klog.FromContext(ctx).Info("Asking for a client certificate with the bootstrap credential", "bootstrapKubeconfig", a.Bootstrap, "reason", fault.Error())
	return c.rotating(ctx, a, bootstrap, nil)
}

func (a Access) tune(c *rest.Config) {
	if a.Tune != nil {
		a.Tune(c)
	}
}

func readKubeconfig(path string) (*rest.Config, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(&clientcmd.ClientConfigLoadingRules{ExplicitPath: path}, &clientcmd.ConfigOverrides{}).ClientConfig()
}

func hasCertificate(c *rest.Config) bool {
	return c.CertFile != "" || len(c.CertData) > 0
}

// usableCredential says why the configuration's credential cannot be used; nil: it can.
func usableCredential(c *rest.Config) error {
	copied := rest.CopyConfig(c)
	if err := rest.LoadTLSFiles(copied); err != nil {
		return fmt.Errorf("its client certificate cannot be read: %w", err)
	}
	if len(copied.CertData) == 0 {
		if copied.BearerToken != "" || copied.BearerTokenFile != "" || copied.Username != "" || copied.ExecProvider != nil || copied.AuthProvider != nil {
			return nil
		}
		return errors.New("it has no credential")
	}
	pair, err := tls.X509KeyPair(copied.CertData, copied.KeyData)
	if err != nil {
		return fmt.Errorf("its client certificate and key: %w", err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return fmt.Errorf("its client certificate: %w", err)
	}
	if time.Now().After(leaf.NotAfter) {
		return fmt.Errorf("its client certificate %s expired at %s", c.CertFile, leaf.NotAfter.Format(time.RFC3339))
	}
	return nil
}

// rotating makes a configuration whose certificate comes from the store that a certificate manager keeps. first is the
// credential until there is a certificate; own is the kubeconfig's, nil when it does not exist yet.
func (c *Credentials) rotating(ctx context.Context, a Access, first, own *rest.Config) (*Credentials, error) {
	files, err := certificate.NewFileStore("kubelet-client", a.CertDir, a.CertDir, "", "")
	if err != nil {
		return nil, fmt.Errorf("--cert-dir %s: %w", a.CertDir, err)
	}
	c.certFile = files.CurrentPath()
	logger := klog.FromContext(ctx)
	store := &watchedStore{Store: files, updated: func() {
		logger.Info("The node has a new client certificate", "file", c.certFile)
		if err := writeKubeconfig(a.Kubeconfig, first, c.certFile); err != nil {
			logger.Error(err, "The kubeconfig cannot be written", "file", a.Kubeconfig)
		}
		time.AfterFunc(settle, c.tracker.CloseAll)
	}}
	var certPEM, keyPEM []byte
	if own != nil {
		copied := rest.CopyConfig(own)
		if err := rest.LoadTLSFiles(copied); err != nil {
			return nil, fmt.Errorf("--kubeconfig %s: %w", a.Kubeconfig, err)
		}
		certPEM, keyPEM = copied.CertData, copied.KeyData
	}
	c.Config = rest.AnonymousClientConfig(first)
	asking := rest.CopyConfig(first)
	a.tune(asking)
	c.manager, err = certificate.NewManager(&certificate.Config{
		ClientsetFn: func(current *tls.Certificate) (kubernetes.Interface, error) {
			if current == nil {
				return kubernetes.NewForConfig(asking)
			}
			return kubernetes.NewForConfig(c.Config)
		},
		Template: &x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:node:" + a.NodeName, Organization: []string{"system:nodes"}}},
		// An RSA key would need key encipherment too; the manager makes ECDSA keys.
		Usages:                  []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth},
		SignerName:              certificatesv1.KubeAPIServerClientKubeletSignerName,
		CertificateStore:        store,
		BootstrapCertificatePEM: certPEM,
		BootstrapKeyPEM:         keyPEM,
		Name:                    "kubelet-client",
		Ctx:                     &ctx,
	})
	if err != nil {
		return nil, fmt.Errorf("client certificate of node %s: %w", a.NodeName, err)
	}
	if err := c.transport(c.Config); err != nil {
		return nil, err
	}
	a.tune(c.Config)
	return c, nil
}

// watchedStore tells when a new pair was stored.
type watchedStore struct {
	certificate.Store
	updated func()
}

func (s *watchedStore) Update(cert, key []byte) (*tls.Certificate, error) {
	pair, err := s.Store.Update(cert, key)
	if err == nil {
		s.updated()
	}
	return pair, err
}

func (c *Credentials) dial() *connrotation.Dialer {
	d := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	return connrotation.NewDialerWithTracker(d.DialContext, c.tracker)
}

func (c *Credentials) dialer(config *rest.Config) { config.Dial = c.dial().DialContext }

// transport makes config present the manager's certificate of the moment. HTTP/2 pings find half-open connections
// within 45 s.
func (c *Credentials) transport(config *rest.Config) error {
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		return fmt.Errorf("TLS of the API server's client: %w", err)
	}
	if tlsConfig == nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	tlsConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if current := c.manager.Current(); current != nil {
			return current, nil
		}
		return &tls.Certificate{}, nil
	}
	config.Transport = utilnet.SetTransportDefaults(&http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: tlsConfig, TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 25, DialContext: c.dial().DialContext,
	})
	// The transport enforces these now; a configuration with both is an error.
	config.TLSClientConfig = rest.TLSClientConfig{}
	return nil
}

// writeKubeconfig writes the kubeconfig that names the certificate's file, if there is none or it still has a
// credential of its own from before.
func writeKubeconfig(path string, cluster *rest.Config, certFile string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	ca := cluster.CAData
	if len(ca) == 0 && cluster.CAFile != "" {
		data, err := os.ReadFile(cluster.CAFile)
		if err != nil {
			return err
		}
		ca = data
	}
	config := clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{"default-cluster": {
			Server: cluster.Host, CertificateAuthorityData: ca, InsecureSkipTLSVerify: cluster.Insecure, TLSServerName: cluster.ServerName}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"default-auth": {ClientCertificate: certFile, ClientKey: certFile}},
		Contexts:       map[string]*clientcmdapi.Context{"default-context": {Cluster: "default-cluster", AuthInfo: "default-auth", Namespace: "default"}},
		CurrentContext: "default-context",
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temporary := path + ".new"
	if err := clientcmd.WriteToFile(config, temporary); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
