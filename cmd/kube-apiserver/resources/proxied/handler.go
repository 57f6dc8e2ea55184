package proxied

import (
	"context"
	"net/http"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	translator "k8s.io/apiserver/pkg/util/proxy"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

// Methods are what the proxy subresources take.
func Methods() []string { return []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"} }

// HTTP passes a request on to location. Paths in answers are rewritten, upgrades go through; a failed upgrade ends
// the connection, so that nothing can be smuggled behind it (CVE-2018-1002105).
func HTTP(location *url.URL, transport http.RoundTripper, wrap, upgrade bool, responder rest.Responder) http.Handler {
	handler := proxy.NewUpgradeAwareHandler(location, transport, wrap, upgrade, proxy.NewErrorResponder(responder))
	return handler
}

// Streams passes exec and attach on to a kubelet. Clients that speak WebSocket are translated, as kubelets speak SPDY.
func Streams(location *url.URL, transport http.RoundTripper, options translator.Options, responder rest.Responder) http.Handler {
	translate := translator.NewStreamTranslatorHandler(location, transport, 0, options)
	return translator.NewTranslatingHandler(HTTP(location, transport, false, true, responder), translate,
		wsstream.IsWebSocketRequestWithStreamCloseProtocol)
}

// Tunnel passes port forwarding on to a kubelet; SPDY may come inside a WebSocket.
func Tunnel(location *url.URL, transport http.RoundTripper, responder rest.Responder) http.Handler {
	handler := HTTP(location, transport, false, true, responder)
	return translator.NewTranslatingHandler(handler, translator.NewTunnelingHandler(handler), wsstream.IsWebSocketRequestWithTunnelingProtocol)
}

// UpgradesNeedCreate keeps from next the requests for another protocol of those who may not create the subresource.
func UpgradesNeedCreate(next http.Handler, authz authorizer.Authorizer, responder rest.Responder) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if httpstream.IsUpgradeRequest(r) {
			if err := RequireCreate(r.Context(), authz); err != nil {
				responder.Error(err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// RequireCreate demands the right to create the subresource also of a client that connects with GET: browsers can only
// open a WebSocket so, and the right to read must not become the right to run commands.
func RequireCreate(ctx context.Context, authz authorizer.Authorizer) error {
	info, ok := request.RequestInfoFrom(ctx)
	if !ok || info.Verb == "create" {
		return nil
	}
	who, ok := request.UserFrom(ctx)
	if !ok {
		return apierrors.NewBadRequest("no user present on request")
	}
	decision, reason, err := authz.Authorize(ctx, authorizer.AttributesRecord{
		User: who, Verb: "create", Namespace: info.Namespace, APIGroup: info.APIGroup, APIVersion: info.APIVersion,
		Resource: info.Resource, Subresource: info.Subresource, Name: info.Name, ResourceRequest: true, Path: info.Path,
	})
	if decision == authorizer.DecisionAllow {
		return nil
	}
	if err != nil && reason == "" {
		reason = err.Error()
	}
	return apierrors.NewForbidden(schema.GroupResource{Group: info.APIGroup, Resource: info.Resource + "/" + info.Subresource}, info.Name,
		forbidden("connecting needs the verb \"create\": "+reason))
}

type forbidden string

func (f forbidden) Error() string { return string(f) }
