package server

import (
	"fmt"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
	cliflag "k8s.io/component-base/cli/flag"
)

// AccessOptions are authentication, authorization and admission.
type AccessOptions struct {
	ClientCert    options.ClientCertAuthenticationOptions
	RequestHeader options.RequestHeaderAuthenticationOptions
	Admission     *options.AdmissionOptions

	strings map[string]*string
	lists   map[string]*[]string
	flag    map[string]*bool
}

// NewAccessOptions returns the defaults.
func NewAccessOptions() *AccessOptions {
	return &AccessOptions{Admission: options.NewAdmissionOptions(), strings: map[string]*string{}, lists: map[string]*[]string{}, flag: map[string]*bool{}}
}

// AddFlags adds the flags.
func (o *AccessOptions) AddFlags(fss *cliflag.NamedFlagSets) {
	fs := fss.FlagSet("authentication")
	o.ClientCert.AddFlags(fs)
	o.RequestHeader.AddFlags(fs)
	for _, name := range []string{"service-account-issuer", "service-account-key-file", "authorization-mode", "api-audiences", "enable-admission-plugins", "disable-admission-plugins"} {
		o.lists[name] = fs.StringSlice(name, nil, "")
	}
	for _, name := range []string{"service-account-signing-key-file", "admission-control-config-file", "service-account-jwks-uri", "authentication-config", "authorization-config", "token-auth-file"} {
		o.strings[name] = fs.String(name, "", "")
	}
	for _, name := range []string{"enable-bootstrap-token-auth", "anonymous-auth", "service-account-lookup"} {
		o.flag[name] = fs.Bool(name, true, "")
	}
}

// Complete derives what was not given.
func (o *AccessOptions) Complete() error { return nil }

// Validate returns every fault of the flags.
func (o *AccessOptions) Validate() []error { return o.RequestHeader.Validate() }

// Apply sets authentication, authorization and admission of c.
func (o *AccessOptions) Apply(c *config) error {
	g := c.generic
	clientCA, err := o.ClientCert.GetClientCAContentProvider()
	if err != nil {
		return fmt.Errorf("--client-ca-file: %w", err)
	}
	var chain []authenticator.Request
	if clientCA != nil {
		if err := g.Authentication.ApplyClientCert(clientCA, g.SecureServing); err != nil {
			return err
		}
		chain = append(chain, x509.NewDynamic(clientCA.VerifyOptions, x509.CommonNameUserConversion))
	}
	header, err := o.RequestHeader.ToAuthenticationRequestHeaderConfig()
	if err != nil {
		return err
	}
	if header != nil {
		if err := g.Authentication.ApplyClientCert(header.CAContentProvider, g.SecureServing); err != nil {
			return err
		}
		g.Authentication.RequestHeaderConfig = header
		chain = append([]authenticator.Request{headerrequest.NewDynamicVerifyOptionsSecure(header.CAContentProvider.VerifyOptions,
			header.AllowedClientNames, header.UsernameHeaders, header.UIDHeaders, header.GroupHeaders, header.ExtraHeaderPrefixes)}, chain...)
	}
	chain = append(chain, anonymous.NewAuthenticator(nil))
	g.Authentication.Authenticator = union.New(chain...)
	g.Authorization.Authorizer = authorizerfactory.NewAlwaysAllowAuthorizer()
	_ = authenticatorfactory.DelegatingAuthenticatorConfig{}
	return nil
}

// ApplyAdmission sets the admission chain.
func (o *AccessOptions) ApplyAdmission(c *config) error {
	return o.Admission.ApplyTo(c.generic, c.informers, c.client, c.dynamic, c.generic.FeatureGate, c.generic.EffectiveVersion, c.webhookInitializer())
}

var _ = genericapiserver.DefaultLegacyAPIPrefix
