package core

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/registry/rest"

	"pilotis.dev/cmd/kube-apiserver/resources/proxied"
)

// proxy is the proxy subresource of pods, services and nodes: HTTP to what a name stands for. The name may be
// scheme:name:port.
type proxy struct {
	object, options func() runtime.Object
	path            func(options runtime.Object) string
	locate          func(ctx context.Context, id string) (*url.URL, http.RoundTripper, error)
	// upgradesNeedCreate, if set, is asked whether the client of a WebSocket or SPDY connection may create the subresource.
	upgradesNeedCreate authorizer.Authorizer
}

var _ rest.Connecter = (*proxy)(nil)

// New implements rest.Storage.
func (p *proxy) New() runtime.Object { return p.object() }

// Destroy implements rest.Storage.
func (p *proxy) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (p *proxy) ConnectMethods() []string { return proxied.Methods() }

// NewConnectOptions implements rest.Connecter: the rest of the request's path is the option "path".
func (p *proxy) NewConnectOptions() (runtime.Object, bool, string) { return p.options(), true, "path" }

// Connect implements rest.Connecter.
func (p *proxy) Connect(ctx context.Context, id string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	location, transport, err := p.locate(ctx, id)
	if err != nil {
		return nil, err
	}
	location.Path = joinPath(location.Path, p.path(options))
	handler := proxied.HTTP(location, transport, true, false, responder)
	if p.upgradesNeedCreate != nil {
		handler = proxied.UpgradesNeedCreate(handler, p.upgradesNeedCreate, responder)
	}
	return handler, nil
}

// joinPath keeps a trailing slash, which means something to servers.
func joinPath(base, rest string) string {
	joined := path.Join("/", base, rest)
	if strings.HasSuffix(rest, "/") && !strings.HasSuffix(joined, "/") {
		joined += "/"
	}
	return joined
}

func newPodProxy(r podReach, rule proxied.Rule, transport http.RoundTripper) *proxy {
	return &proxy{
		object:  func() runtime.Object { return &corev1.PodProxyOptions{} },
		options: func() runtime.Object { return &corev1.PodProxyOptions{} },
		path:    func(o runtime.Object) string { return o.(*corev1.PodProxyOptions).Path },
		locate: func(ctx context.Context, id string) (*url.URL, http.RoundTripper, error) {
			scheme, name, port, valid := utilnet.SplitSchemeNamePort(id)
			if !valid {
				return nil, nil, apierrors.NewBadRequest(fmt.Sprintf("invalid pod request %q", id))
			}
			p, err := r.pod(ctx, name)
			if err != nil {
				return nil, nil, err
			}
			if port == "" {
				port = firstPort(p)
			}
			host := p.Status.PodIP
			if len(p.Status.PodIPs) > 0 {
				host = p.Status.PodIPs[0].IP
			}
			if host == "" {
				return nil, nil, apierrors.NewServiceUnavailable(fmt.Sprintf("pod %s has no IP address yet", name))
			}
			if err := rule.CheckHost(host); err != nil {
				return nil, nil, err
			}
			u := &url.URL{Scheme: scheme, Host: host}
			if port != "" {
				u.Host = net.JoinHostPort(host, port)
			} else if strings.Contains(host, ":") {
				u.Host = "[" + host + "]"
			}
			return u, transport, nil
		},
	}
}

func firstPort(p *corev1.Pod) string {
	for i := range p.Spec.Containers {
		if ports := p.Spec.Containers[i].Ports; len(ports) > 0 {
			return strconv.Itoa(int(ports[0].ContainerPort))
		}
	}
	return ""
}
