package auth

import (
	"time"

	"github.com/spf13/pflag"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	cliflag "k8s.io/component-base/cli/flag"
)

// AuthenticationOptions are the flags that say how requests are authenticated. Names and defaults are those of the
// kube-apiserver reference.
type AuthenticationOptions struct {
	APIAudiences    []string
	Anonymous       bool
	ConfigFile      string
	ClientCert      *genericoptions.ClientCertAuthenticationOptions
	RequestHeader   *genericoptions.RequestHeaderAuthenticationOptions
	BootstrapToken  bool
	TokenFile       string
	ServiceAccounts ServiceAccountOptions
	OIDC            OIDCOptions
	Webhook         TokenWebhookOptions

	// TokenSuccessCacheTTL and TokenFailureCacheTTL bound how long the answer to a token is reused.
	TokenSuccessCacheTTL, TokenFailureCacheTTL time.Duration

	flags *pflag.FlagSet
}

// ServiceAccountOptions are the flags of service account tokens.
type ServiceAccountOptions struct {
	KeyFiles         []string
	SigningKeyFile   string
	Lookup           bool
	Issuers          []string
	JWKSURI          string
	MaxExpiration    time.Duration
	ExtendExpiration bool
}

// OIDCOptions are the flags of one OpenID Connect provider; --authentication-config can name several.
type OIDCOptions struct {
	CAFile         string
	ClientID       string
	IssuerURL      string
	UsernameClaim  string
	UsernamePrefix string
	GroupsClaim    string
	GroupsPrefix   string
	SigningAlgs    []string
	RequiredClaims map[string]string
}

// TokenWebhookOptions are the flags of the token review webhook.
type TokenWebhookOptions struct {
	ConfigFile string
	Version    string
	CacheTTL   time.Duration
}

// NewAuthenticationOptions returns the defaults.
func NewAuthenticationOptions() *AuthenticationOptions {
	return &AuthenticationOptions{
		Anonymous:     true,
		ClientCert:    &genericoptions.ClientCertAuthenticationOptions{},
		RequestHeader: &genericoptions.RequestHeaderAuthenticationOptions{},
		ServiceAccounts: ServiceAccountOptions{
			Lookup:           true,
			ExtendExpiration: true,
		},
		OIDC:                 OIDCOptions{UsernameClaim: "sub", SigningAlgs: []string{"RS256"}},
		Webhook:              TokenWebhookOptions{Version: "v1beta1", CacheTTL: 2 * time.Minute},
		TokenSuccessCacheTTL: 10 * time.Second,
	}
}

// AddFlags adds the flags.
func (o *AuthenticationOptions) AddFlags(fs *pflag.FlagSet) {
	o.flags = fs
	fs.StringSliceVar(&o.APIAudiences, "api-audiences", o.APIAudiences, "Identifiers of the API. The service account token authenticator will validate that tokens used against the API are bound to at least one of these audiences. If the --service-account-issuer flag is configured and this flag is not, this field defaults to a single element list containing the issuer URL.")
	fs.BoolVar(&o.Anonymous, "anonymous-auth", o.Anonymous, "Enables anonymous requests to the secure port of the API server. Requests that are not rejected by another authentication method are treated as anonymous requests. Anonymous requests have a username of system:anonymous, and a group name of system:unauthenticated.")
	fs.StringVar(&o.ConfigFile, "authentication-config", o.ConfigFile, "File with Authentication Configuration to configure the JWT Token authenticator or the anonymous authenticator. The file is reread when it changes. This flag is mutually exclusive with the --oidc-* flags, and with --anonymous-auth if the file configures the anonymous authenticator.")
	o.ClientCert.AddFlags(fs)
	o.RequestHeader.AddFlags(fs)
	fs.BoolVar(&o.BootstrapToken, "enable-bootstrap-token-auth", o.BootstrapToken, "Enable to allow secrets of type 'bootstrap.kubernetes.io/token' in the 'kube-system' namespace to be used for TLS bootstrapping authentication.")
	fs.StringVar(&o.TokenFile, "token-auth-file", o.TokenFile, "If set, the file that will be used to secure the secure port of the API server via token authentication.")
	o.ServiceAccounts.addFlags(fs)
	o.OIDC.addFlags(fs)
	o.Webhook.addFlags(fs)
}

func (o *ServiceAccountOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringArrayVar(&o.KeyFiles, "service-account-key-file", o.KeyFiles, "File containing PEM-encoded x509 RSA or ECDSA private or public keys, used to verify ServiceAccount tokens. The specified file can contain multiple keys, and the flag can be specified multiple times with different files. Tokens signed by --service-account-signing-key-file are always accepted.")
	fs.StringVar(&o.SigningKeyFile, "service-account-signing-key-file", o.SigningKeyFile, "Path to the file that contains the current private key of the service account token issuer. The issuer will sign issued ID tokens with this private key.")
	fs.BoolVar(&o.Lookup, "service-account-lookup", o.Lookup, "If true, validate ServiceAccount tokens exist in etcd as part of authentication.")
	fs.StringArrayVar(&o.Issuers, "service-account-issuer", o.Issuers, "Identifier of the service account token issuer. The issuer will assert this identifier in \"iss\" claim of issued tokens. This value is a string or URI. If this option is not a valid URI per the OpenID Discovery 1.0 spec, the service account issuer discovery is not served. When this flag is specified multiple times, the first is used to generate tokens and all are used to determine which issuers are accepted.")
	fs.StringVar(&o.JWKSURI, "service-account-jwks-uri", o.JWKSURI, "Overrides the URI for the JSON Web Key Set in the discovery doc served at /.well-known/openid-configuration. This flag is useful if the discovery doc and key set are served to relying parties from a URL other than the API server's external (as auto-detected or overridden with external-hostname).")
	fs.DurationVar(&o.MaxExpiration, "service-account-max-token-expiration", o.MaxExpiration, "The maximum validity duration of a token created by the service account token issuer. If an otherwise valid TokenRequest with a validity duration larger than this value is requested, a token will be issued with a validity duration of this value.")
	fs.BoolVar(&o.ExtendExpiration, "service-account-extend-token-expiration", o.ExtendExpiration, "Turns on projected service account expiration extension during token generation, which helps safe transition from legacy token to bound service account token feature. If this flag is enabled, admission injected tokens would be extended up to 1 year to prevent unexpected failure during transition, ignoring value of service-account-max-token-expiration.")
}

func (o *OIDCOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.IssuerURL, "oidc-issuer-url", o.IssuerURL, "The URL of the OpenID issuer, only HTTPS scheme will be accepted. If set, it will be used to verify the OIDC JSON Web Token (JWT).")
	fs.StringVar(&o.ClientID, "oidc-client-id", o.ClientID, "The client ID for the OpenID Connect client, must be set if oidc-issuer-url is set.")
	fs.StringVar(&o.CAFile, "oidc-ca-file", o.CAFile, "If set, the OpenID server's certificate will be verified by one of the authorities in the oidc-ca-file, otherwise the host's root CA set will be used.")
	fs.StringVar(&o.UsernameClaim, "oidc-username-claim", o.UsernameClaim, "The OpenID claim to use as the user name. Note that claims other than the default ('sub') is not guaranteed to be unique and immutable.")
	fs.StringVar(&o.UsernamePrefix, "oidc-username-prefix", o.UsernamePrefix, "If provided, all usernames will be prefixed with this value. If not provided, username claims other than 'email' are prefixed by the issuer URL to avoid clashes. To skip any prefixing, provide the value '-'.")
	fs.StringVar(&o.GroupsClaim, "oidc-groups-claim", o.GroupsClaim, "If provided, the name of a custom OpenID Connect claim for specifying user groups. The claim value is expected to be a string or array of strings.")
	fs.StringVar(&o.GroupsPrefix, "oidc-groups-prefix", o.GroupsPrefix, "If provided, all groups will be prefixed with this value to prevent conflicts with other authentication strategies.")
	fs.StringSliceVar(&o.SigningAlgs, "oidc-signing-algs", o.SigningAlgs, "Comma-separated list of allowed JOSE asymmetric signing algorithms. JWTs with a supported 'alg' header values are: RS256, RS384, RS512, ES256, ES384, ES512, PS256, PS384, PS512. Values are defined by RFC 7518 https://tools.ietf.org/html/rfc7518#section-3.1.")
	fs.Var(cliflag.NewMapStringStringNoSplit(&o.RequiredClaims), "oidc-required-claim", "A key=value pair that describes a required claim in the ID Token. If set, the claim is verified to be present in the ID Token with a matching value. Repeat this flag to specify multiple claims.")
}

func (o *TokenWebhookOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.ConfigFile, "authentication-token-webhook-config-file", o.ConfigFile, "File with webhook configuration for token authentication in kubeconfig format. The API server will query the remote service to determine authentication for bearer tokens.")
	fs.StringVar(&o.Version, "authentication-token-webhook-version", o.Version, "The API version of the authentication.k8s.io TokenReview to send to and expect from the webhook.")
	fs.DurationVar(&o.CacheTTL, "authentication-token-webhook-cache-ttl", o.CacheTTL, "The duration to cache responses from the webhook token authenticator.")
}
