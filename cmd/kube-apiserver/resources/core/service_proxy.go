package core

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	apiproxy "k8s.io/apiserver/pkg/util/proxy"

	"pilotis.dev/cmd/kube-apiserver/resources/kind"
)

func newServiceProxy(services *kind.Store, env *kind.Env) *proxy {
	return &proxy{
		object:  func() runtime.Object { return &corev1.ServiceProxyOptions{} },
		options: func() runtime.Object { return &corev1.ServiceProxyOptions{} },
		path:    func(o runtime.Object) string { return o.(*corev1.ServiceProxyOptions).Path },
		locate: func(ctx context.Context, id string) (*url.URL, http.RoundTripper, error) {
			return serviceLocation(ctx, services, env, id)
		},
	}
}

// serviceLocation picks an endpoint of the port that was asked for by name or number.
func serviceLocation(ctx context.Context, services *kind.Store, env *kind.Env, id string) (*url.URL, http.RoundTripper, error) {
	scheme, name, portText, valid := utilnet.SplitSchemeNamePort(id)
	if !valid {
		return nil, nil, apierrors.NewBadRequest(fmt.Sprintf("invalid service request %q", id))
	}
	obj, err := services.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, nil, err
	}
	service := obj.(*corev1.Service)
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		return nil, nil, apierrors.NewServiceUnavailable(fmt.Sprintf("service %q is of type ExternalName and has no endpoints", name))
	}
	port, err := portName(service, portText)
	if err != nil {
		return nil, nil, err
	}
	slices, err := env.Slices.GetEndpointSlices(service.Namespace, service.Name)
	if err != nil {
		return nil, nil, err
	}
	family := corev1.IPFamilyUnknown
	if len(service.Spec.IPFamilies) > 0 {
		family = service.Spec.IPFamilies[0]
	}
	host, err := apiproxy.RandomEndpoint(name, slices, port, family, func(e *discoveryv1.Endpoint) bool {
		return len(e.Addresses) > 0 && env.Proxied(net.ParseIP(e.Addresses[0])) == nil
	})
	if err != nil {
		return nil, nil, err
	}
	return &url.URL{Scheme: scheme, Host: host}, env.Proxy, nil
}

// portName is the name of the service's port that was asked for; without a wish it is the only unnamed one.
func portName(s *corev1.Service, wanted string) (string, error) {
	if wanted == "" {
		return "", nil
	}
	for _, p := range s.Spec.Ports {
		if p.Name == wanted {
			return wanted, nil
		}
	}
	if number, err := strconv.ParseInt(wanted, 10, 32); err == nil {
		for _, p := range s.Spec.Ports {
			if int64(p.Port) == number {
				return p.Name, nil
			}
		}
	}
	return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %q found for service %q", wanted, s.Name))
}
