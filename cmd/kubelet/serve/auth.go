package serve

import (
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
)

// reviewTimeout bounds one TokenReview.
const reviewTimeout = 10 * time.Second

// NewAuth builds authentication and authorization as KubeletConfiguration says. Reviews are asked of client, which may
// be nil for a kubelet without an API server: tokens are refused then, and webhook authorization is an error.
func NewAuth(c *kubeletconfig.KubeletConfiguration, client kubernetes.Interface) (Auth, error) {
	var auth Auth
	retry := &wait.Backoff{Duration: 500 * time.Millisecond, Factor: 1.5, Jitter: 0.2, Steps: 5}
	authn := authenticatorfactory.DelegatingAuthenticatorConfig{
		Anonymous:                &apiserver.AnonymousAuthConfig{Enabled: isTrue(c.Authentication.Anonymous.Enabled)},
		CacheTTL:                 c.Authentication.Webhook.CacheTTL.Duration,
		TokenAccessReviewTimeout: reviewTimeout,
		WebhookRetryBackoff:      retry,
	}
	if isTrue(c.Authentication.Webhook.Enabled) && client != nil {
		authn.TokenAccessReviewClient = client.AuthenticationV1()
	}
	if file := c.Authentication.X509.ClientCAFile; file != "" {
		ca, err := dynamiccertificates.NewDynamicCAContentFromFile("client-ca-bundle", file)
		if err != nil {
			return Auth{}, fmt.Errorf("authentication.x509.clientCAFile: %w", err)
		}
		auth.ClientCA, authn.ClientCertificateCAContentProvider = ca, ca
	}
	var err error
	if auth.Authenticator, _, err = authn.New(); err != nil {
		return Auth{}, err
	}
	if c.Authorization.Mode == kubeletconfig.KubeletAuthorizationModeAlwaysAllow {
		auth.Authorizer = authorizerfactory.NewAlwaysAllowAuthorizer()
		return auth, nil
	}
	if client == nil {
		auth.Authorizer = authorizerfactory.NewAlwaysDenyAuthorizer()
		return auth, nil
	}
	auth.Authorizer, err = authorizerfactory.DelegatingAuthorizerConfig{
		SubjectAccessReviewClient: client.AuthorizationV1(),
		AllowCacheTTL:             c.Authorization.Webhook.CacheAuthorizedTTL.Duration,
		DenyCacheTTL:              c.Authorization.Webhook.CacheUnauthorizedTTL.Duration,
		WebhookRetryBackoff:       retry,
	}.New()
	return auth, err
}

func isTrue(p *bool) bool { return p != nil && *p }

// authorized lets a request through when its user may do what it asks.
func (s *Server) authorized(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		logger := klog.FromContext(req.Context())
		if s.Auth.Authenticator == nil || s.Auth.Authorizer == nil {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		info, ok, err := s.Auth.Authenticator.AuthenticateRequest(req)
		if err != nil || !ok {
			if err != nil {
				logger.Info("A request could not be authenticated", "path", req.URL.Path, "reason", err.Error())
			}
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		wanted := s.attributes(info.User, req)
		var names []string
		for _, a := range wanted {
			names = append(names, a.GetSubresource())
			decision, reason, err := s.Auth.Authorizer.Authorize(req.Context(), a)
			if err != nil && decision != authorizer.DecisionAllow {
				logger.Info("A request could not be authorized", "user", a.GetUser().GetName(), "verb", a.GetVerb(), "subresource", a.GetSubresource(), "reason", err.Error())
				http.Error(w, fmt.Sprintf("Authorization error (user=%s, verb=%s, resource=%s, subresource=%s)", a.GetUser().GetName(), a.GetVerb(), a.GetResource(), a.GetSubresource()), http.StatusInternalServerError)
				return
			}
			if decision == authorizer.DecisionAllow {
				next.ServeHTTP(w, req)
				return
			}
			logger.V(2).Info("Forbidden", "user", a.GetUser().GetName(), "verb", a.GetVerb(), "subresource", a.GetSubresource(), "reason", reason)
		}
		http.Error(w, fmt.Sprintf("Forbidden (user=%s, verb=%s, resource=nodes, subresource(s)=%v)", info.User.GetName(), wanted[0].GetVerb(), names), http.StatusForbidden)
	})
}

// attributes says what a request needs on this node's subresources: any one of the answer is enough. Fine-grained
// subresources (KEP-2862) come before nodes/proxy, which stands for everything.
//
// Whatever starts a process or opens a stream in a pod needs "create", also when a WebSocket asks for it with GET:
// read access to a node must not run commands.
func (s *Server) attributes(u user.Info, req *http.Request) []authorizer.Attributes {
	verb := map[string]string{http.MethodPost: "create", http.MethodGet: "get", http.MethodHead: "get", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete"}[req.Method]
	path := path.Clean(req.URL.Path) // as the router will see it
	var subresources []string
	switch {
	case isBelow(path, "/stats"):
		subresources = []string{"stats"}
	case isBelow(path, "/metrics"):
		subresources = []string{"metrics"}
	case isBelow(path, "/logs"):
		subresources = []string{"log"}
	case isBelow(path, "/checkpoint"):
		subresources = []string{"checkpoint"}
	case isBelow(path, "/healthz"), isBelow(path, "/livez"):
		subresources = []string{"healthz", "proxy"}
	case isBelow(path, "/configz"):
		subresources = []string{"configz", "proxy"}
	case isBelow(path, "/pods"), isBelow(path, "/runningpods"):
		subresources = []string{"pods", "proxy"}
	default:
		subresources = []string{"proxy"}
	}
	for _, p := range []string{"/exec", "/attach", "/portForward", "/run"} {
		if isBelow(path, p) {
			verb = "create"
		}
	}
	var out []authorizer.Attributes
	for _, sub := range subresources {
		out = append(out, authorizer.AttributesRecord{User: u, Verb: verb, APIVersion: "v1", Resource: "nodes", Subresource: sub, Name: s.NodeName, ResourceRequest: true, Path: path})
	}
	return out
}

// isBelow reports whether path is the folder or lies in it.
func isBelow(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}
