package auth

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	apiserverapi "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	requestunion "k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/websocket"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	tokencache "k8s.io/apiserver/pkg/authentication/token/cache"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/egressselector"
	webhookutil "k8s.io/apiserver/pkg/util/webhook"
	tokenwebhook "k8s.io/apiserver/plugin/pkg/authenticator/token/webhook"
	"k8s.io/client-go/informers"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/keyutil"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/utils/clock"

	"pilotis.dev/cmd/kube-apiserver/auth/bootstraptoken"
	"pilotis.dev/cmd/kube-apiserver/auth/noredirect"
	"pilotis.dev/cmd/kube-apiserver/auth/serviceaccount"
	"pilotis.dev/pkg/tokens"
)

// AuthenticationInputs are what the chain is built upon.
type AuthenticationInputs struct {
	// Informers and Client talk to this server itself.
	Informers informers.SharedInformerFactory
	Client    kubernetes.Interface
	// ExternalAddress is the host:port under which others reach this server; it appears in the OpenID metadata.
	ExternalAddress string
	// APIServerID labels metrics of configuration reloads.
	APIServerID string
	// EgressLookup finds the dialer for traffic to webhooks and OpenID providers; nil dials directly.
	EgressLookup egressselector.Lookup
	// Clock is the real clock when nil.
	Clock clock.PassiveClock
}

// Authentication is the built chain.
type Authentication struct {
	Authenticator authenticator.Request
	APIAudiences  authenticator.Audiences
	// SecurityDefinitions describe the chain in OpenAPI v2.
	SecurityDefinitions spec.SecurityDefinitions
	// Tokens issues service account tokens.
	Tokens *serviceaccount.Issuer
	// OpenID is nil when the issuer is not an https URL; OpenIDError says why.
	OpenID      *serviceaccount.OpenID
	OpenIDError error
	// ClientCA and RequestHeader are nil when their flags are not set.
	ClientCA      dynamiccertificates.CAContentProvider
	RequestHeader *authenticatorfactory.RequestHeaderConfig
	// Run keeps the chain current: bootstrap tokens, reloads of the configuration file. It returns when ctx ends.
	Run func(ctx context.Context)
}

// ApplyTo hands the chain to the server's configuration.
func (a *Authentication) ApplyTo(info *genericapiserver.AuthenticationInfo, serving *genericapiserver.SecureServingInfo) error {
	info.Authenticator = a.Authenticator
	info.APIAudiences = a.APIAudiences
	info.RequestHeaderConfig = a.RequestHeader
	if err := info.ApplyClientCert(a.ClientCA, serving); err != nil {
		return fmt.Errorf("client CA: %w", err)
	}
	if a.RequestHeader != nil {
		if err := info.ApplyClientCert(a.RequestHeader.CAContentProvider, serving); err != nil {
			return fmt.Errorf("request header client CA: %w", err)
		}
	}
	return nil
}

// chain collects authenticators while Build goes through the flags.
type chain struct {
	requests []authenticator.Request
	tokens   []authenticator.Token
	runs     []func(context.Context)
	openAPI  spec.SecurityDefinitions
}

// Build makes the chain. ctx bounds the life of background work started at once, such as key fetching from OpenID
// providers; informers that are asked for here start with in.Informers.
func (o *AuthenticationOptions) Build(ctx context.Context, in AuthenticationInputs) (*Authentication, error) {
	if in.Clock == nil {
		in.Clock = clock.RealClock{}
	}
	out := &Authentication{APIAudiences: o.APIAudiences}
	if len(out.APIAudiences) == 0 && len(o.ServiceAccounts.Issuers) > 0 {
		out.APIAudiences = o.ServiceAccounts.Issuers[:1]
	}
	config, err := o.configuration()
	if err != nil {
		return nil, err
	}
	c := &chain{openAPI: spec.SecurityDefinitions{}}
	if err := o.certificates(out, c); err != nil {
		return nil, err
	}
	if o.TokenFile != "" {
		tokens, err := tokenfile.NewCSV(o.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("--token-auth-file %s: %w", o.TokenFile, err)
		}
		c.tokens = append(c.tokens, authenticator.WrapAudienceAgnosticToken(out.APIAudiences, tokens))
	}
	if err := o.serviceAccounts(in, out, c); err != nil {
		return nil, err
	}
	if o.BootstrapToken {
		o.bootstrapTokens(in, out, c)
	}
	if err := o.openIDConnect(ctx, in, out, c, config); err != nil {
		return nil, err
	}
	if o.Webhook.ConfigFile != "" {
		if err := o.tokenWebhook(in, out, c); err != nil {
			return nil, err
		}
	}
	out.Authenticator = c.join(o, config.Anonymous)
	out.SecurityDefinitions = c.openAPI
	out.Run = func(ctx context.Context) {
		for _, run := range c.runs {
			go run(ctx)
		}
		<-ctx.Done()
	}
	return out, nil
}

// join puts the chain in order: front proxies, certificates, tokens, and anonymous when all others have no answer.
func (c *chain) join(o *AuthenticationOptions, anon *apiserverapi.AnonymousAuthConfig) authenticator.Request {
	if len(c.tokens) > 0 {
		token := tokenunion.New(c.tokens...)
		if o.TokenSuccessCacheTTL > 0 || o.TokenFailureCacheTTL > 0 {
			token = tokencache.New(token, true, o.TokenSuccessCacheTTL, o.TokenFailureCacheTTL)
		}
		c.requests = append(c.requests, bearertoken.New(token), websocket.NewProtocolAuthenticator(token))
		c.openAPI["BearerToken"] = &spec.SecurityScheme{SecuritySchemeProps: spec.SecuritySchemeProps{
			Type: "apiKey", Name: "authorization", In: "header", Description: "Bearer Token authentication",
		}}
	}
	var all authenticator.Request
	if len(c.requests) > 0 {
		all = group.NewAuthenticatedGroupAdder(requestunion.New(c.requests...))
	}
	if anon == nil || !anon.Enabled {
		if all == nil {
			return authenticator.RequestFunc(noAuthenticator)
		}
		return all
	}
	last := anonymous.NewAuthenticator(anon.Conditions)
	if all == nil {
		return last
	}
	// a wrong credential is refused rather than taken for an anonymous request
	return requestunion.NewFailOnError(all, last)
}

func (o *AuthenticationOptions) certificates(out *Authentication, c *chain) error {
	requestHeader, err := o.RequestHeader.ToAuthenticationRequestHeaderConfig()
	if err != nil {
		return fmt.Errorf("--requestheader-client-ca-file: %w", err)
	}
	if requestHeader != nil {
		out.RequestHeader = requestHeader
		c.requests = append(c.requests, authenticator.WrapAudienceAgnosticRequest(out.APIAudiences, headerrequest.NewDynamicVerifyOptionsSecure(
			requestHeader.CAContentProvider.VerifyOptions,
			requestHeader.AllowedClientNames,
			requestHeader.UsernameHeaders,
			requestHeader.UIDHeaders,
			requestHeader.GroupHeaders,
			requestHeader.ExtraHeaderPrefixes,
		)))
	}
	if out.ClientCA, err = o.ClientCert.GetClientCAContentProvider(); err != nil {
		return fmt.Errorf("--client-ca-file: %w", err)
	}
	if out.ClientCA != nil {
		c.requests = append(c.requests, newClientCertificates(out.ClientCA.VerifyOptions, x509.CommonNameUserConversion, clock.RealClock{}))
	}
	return nil
}

func (o *AuthenticationOptions) serviceAccounts(in AuthenticationInputs, out *Authentication, c *chain) error {
	s := o.ServiceAccounts
	private, err := keyutil.PrivateKeyFromFile(s.SigningKeyFile)
	if err != nil {
		return fmt.Errorf("--service-account-signing-key-file: %w", err)
	}
	keys, err := serviceaccount.LoadKeys(s.KeyFiles, private)
	if err != nil {
		return fmt.Errorf("--service-account-key-file: %w", err)
	}
	signer, err := tokens.NewSigner(s.Issuers[0], private)
	if err != nil {
		return fmt.Errorf("--service-account-signing-key-file: %w", err)
	}
	core := in.Informers.Core().V1()
	if err := core.Pods().Informer().SetTransform(new(podTrimmer).trim); err != nil {
		return fmt.Errorf("pods for service account tokens: %w", err)
	}
	lookup := &serviceaccount.Lookup{
		ServiceAccounts: core.ServiceAccounts().Lister(),
		Pods:            core.Pods().Lister(),
		Nodes:           core.Nodes().Lister(),
		Client:          in.Client,
	}
	counters := serviceaccount.NewMetrics(register)
	c.tokens = append(c.tokens,
		serviceaccount.NewLegacyAuthenticator(keys, out.APIAudiences, lookup, s.Lookup, in.Clock, counters),
		serviceaccount.NewBoundAuthenticator(s.Issuers, keys, out.APIAudiences, lookup, in.Clock, counters),
	)
	out.Tokens = &serviceaccount.Issuer{
		Signer: signer, Audiences: out.APIAudiences, Lookup: lookup,
		MaxExpiration: s.MaxExpiration, Extend: s.ExtendExpiration, Clock: in.Clock,
	}
	out.OpenID, out.OpenIDError = serviceaccount.NewOpenID(s.Issuers[0], s.JWKSURI, in.ExternalAddress, keys)
	return nil
}

// bootstrapTokens watches just the Secrets that hold such tokens.
func (o *AuthenticationOptions) bootstrapTokens(in AuthenticationInputs, out *Authentication, c *chain) {
	informer := coreinformers.NewFilteredSecretInformer(in.Client, metav1.NamespaceSystem, 0,
		cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc},
		func(options *metav1.ListOptions) {
			options.FieldSelector = fields.OneTermEqualSelector("type", string(bootstrapapi.SecretTypeBootstrapToken)).String()
		})
	secrets := corelisters.NewSecretLister(informer.GetIndexer()).Secrets(metav1.NamespaceSystem)
	c.tokens = append(c.tokens, authenticator.WrapAudienceAgnosticToken(out.APIAudiences, bootstraptoken.New(secrets, in.Clock)))
	c.runs = append(c.runs, func(ctx context.Context) { informer.RunWithContext(ctx) })
}

func (o *AuthenticationOptions) tokenWebhook(in AuthenticationInputs, out *Authentication, c *chain) error {
	dial, err := dialer(in.EgressLookup)
	if err != nil {
		return err
	}
	config, err := webhookutil.LoadKubeconfig(o.Webhook.ConfigFile, dial)
	if err != nil {
		return fmt.Errorf("--authentication-token-webhook-config-file %s: %w", o.Webhook.ConfigFile, err)
	}
	noredirect.Wrap(config)
	hook, err := tokenwebhook.New(config, o.Webhook.Version, out.APIAudiences, *tokenwebhook.DefaultRetryBackoff())
	if err != nil {
		return fmt.Errorf("--authentication-token-webhook-config-file %s: %w", o.Webhook.ConfigFile, err)
	}
	c.tokens = append(c.tokens, tokencache.New(hook, false, o.Webhook.CacheTTL, o.Webhook.CacheTTL))
	return nil
}
