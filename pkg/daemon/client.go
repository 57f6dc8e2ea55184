package daemon

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	componentbaseconfig "k8s.io/component-base/config"
	"k8s.io/klog/v2"

	"pilotis.dev/pkg/certs"
)

func addMeta(s *runtime.Scheme, gv schema.GroupVersion) {
	metav1.AddToGroupVersion(s, gv)
}

// ClientConfig builds the client of a daemon from its kubeconfig file, or from the pod's service account
// when neither a kubeconfig nor master is given. It asks for protobuf unless conn names another encoding.
func ClientConfig(master, userAgent string, conn componentbaseconfig.ClientConnectionConfiguration) (*rest.Config, error) {
	var c *rest.Config
	var err error
	if conn.Kubeconfig == "" && master == "" {
		if c, err = rest.InClusterConfig(); err != nil {
			return nil, fmt.Errorf("no --kubeconfig was given and this is no pod of a cluster: %w", err)
		}
	} else {
		c, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
			&clientcmd.ClientConfigLoadingRules{ExplicitPath: conn.Kubeconfig},
			&clientcmd.ConfigOverrides{ClusterInfo: clientcmdapi.Cluster{Server: master}}).ClientConfig()
		if err != nil {
			return nil, fmt.Errorf("reading kubeconfig %q: %w", conn.Kubeconfig, err)
		}
	}
	if err := checkClientCertificate(c.TLSClientConfig, time.Now()); err != nil {
		return nil, fmt.Errorf("kubeconfig %q: client certificate: %w", conn.Kubeconfig, err)
	}
	c.AcceptContentTypes, c.ContentType = conn.AcceptContentTypes, conn.ContentType
	if c.ContentType == "" {
		c.ContentType = runtime.ContentTypeProtobuf
		c.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	}
	c.QPS, c.Burst = conn.QPS, int(conn.Burst)
	return rest.AddUserAgent(c, userAgent), nil
}

// TellUnreachable logs once when the API server does not answer at the start: informers try on without a word.
func TellUnreachable(ctx context.Context, client discovery.ServerVersionInterface) {
	if _, err := client.ServerVersion(); err != nil && ctx.Err() == nil {
		klog.FromContext(ctx).Error(err, "The API server cannot be reached, trying on")
	}
}

// checkClientCertificate finds a certificate that no server will take: one whose key is another's, or that has expired.
func checkClientCertificate(c rest.TLSClientConfig, now time.Time) error {
	var pair tls.Certificate
	var err error
	switch {
	case len(c.CertData) > 0:
		pair, err = tls.X509KeyPair(c.CertData, c.KeyData)
	case c.CertFile != "":
		pair, err = tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	return certs.CheckTime(pair.Leaf, now)
}
