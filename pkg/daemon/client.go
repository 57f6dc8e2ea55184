package daemon

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	componentbaseconfig "k8s.io/component-base/config"
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
	c.AcceptContentTypes, c.ContentType = conn.AcceptContentTypes, conn.ContentType
	if c.ContentType == "" {
		c.ContentType = runtime.ContentTypeProtobuf
		c.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	}
	c.QPS, c.Burst = conn.QPS, int(conn.Burst)
	return rest.AddUserAgent(c, userAgent), nil
}
