package core

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/registry/rest"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

func nodeSubresources(nodes *kind.Store, env *kind.Env) (map[string]rest.Storage, error) {
	return map[string]rest.Storage{"proxy": &proxy{
		object:  func() runtime.Object { return &corev1.NodeProxyOptions{} },
		options: func() runtime.Object { return &corev1.NodeProxyOptions{} },
		path:    func(o runtime.Object) string { return o.(*corev1.NodeProxyOptions).Path },
		locate: func(ctx context.Context, id string) (*url.URL, http.RoundTripper, error) {
			return nodeLocation(ctx, nodes, env, id)
		},
		// By exec, attach and port forwarding a kubelet, which trusts this server, runs commands in any container of the node.
		upgradesNeedCreate: env.Authorizer,
	}}, nil
}

// nodeLocation is the kubelet for the node's own port, and any other port of the node without this server's
// credentials.
func nodeLocation(ctx context.Context, nodes *kind.Store, env *kind.Env, id string) (*url.URL, http.RoundTripper, error) {
	scheme, name, port, valid := utilnet.SplitSchemeNamePort(id)
	if !valid {
		return nil, nil, apierrors.NewBadRequest(fmt.Sprintf("invalid node request %q", id))
	}
	obj, err := nodes.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, nil, err
	}
	e, err := env.Kubelet.Endpoint(obj.(*corev1.Node))
	if err != nil {
		return nil, nil, apierrors.NewServiceUnavailable(err.Error())
	}
	if err := env.Proxied.CheckHost(e.Host); err != nil {
		return nil, nil, err
	}
	if port == "" || port == e.Port {
		if scheme != "" && scheme != "https" && port != "" {
			return nil, nil, apierrors.NewBadRequest(fmt.Sprintf("the kubelet of node %s speaks https, not %s", name, scheme))
		}
		return e.URL("", nil), e.Proxied, nil
	}
	return &url.URL{Scheme: scheme, Host: net.JoinHostPort(e.Host, port)}, env.Proxy, nil
}
