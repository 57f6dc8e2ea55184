package auth

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	apiserverapi "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
)

// configuration returns the AuthenticationConfiguration of the file, or the one that the flags amount to.
func (o *AuthenticationOptions) configuration() (*apiserverapi.AuthenticationConfiguration, error) {
	config := &apiserverapi.AuthenticationConfiguration{}
	if o.ConfigFile != "" {
		data, err := os.ReadFile(o.ConfigFile)
		if err != nil {
			return nil, fmt.Errorf("--authentication-config: %w", err)
		}
		if config, err = decodeAuthentication(data); err != nil {
			return nil, fmt.Errorf("--authentication-config %s: %w", o.ConfigFile, err)
		}
	} else if o.OIDC.IssuerURL != "" {
		jwt, err := o.OIDC.jwtAuthenticator()
		if err != nil {
			return nil, err
		}
		config.JWT = []apiserverapi.JWTAuthenticator{jwt}
	}
	if errs := validation.ValidateAuthenticationConfiguration(authenticationcel.NewDefaultCompiler(), config, o.ServiceAccounts.Issuers); len(errs) > 0 {
		return nil, fmt.Errorf("authentication configuration: %w", errs.ToAggregate())
	}
	switch {
	case config.Anonymous == nil:
		config.Anonymous = &apiserverapi.AnonymousAuthConfig{Enabled: o.Anonymous}
	case o.flags != nil && o.flags.Changed("anonymous-auth"):
		return nil, fmt.Errorf("--authentication-config %s: the file configures the anonymous authenticator, so --anonymous-auth must not be set", o.ConfigFile)
	}
	return config, nil
}

// decodeAuthentication reads a file strictly: an unknown field is an error.
func decodeAuthentication(data []byte) (*apiserverapi.AuthenticationConfiguration, error) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	obj, err := runtime.Decode(codecs.UniversalDecoder(), data)
	if err != nil {
		return nil, err
	}
	config, ok := obj.(*apiserverapi.AuthenticationConfiguration)
	if !ok {
		return nil, fmt.Errorf("kind is %T, want AuthenticationConfiguration", obj)
	}
	return config, nil
}

// jwtAuthenticator says in the terms of the configuration file what the flags say.
func (o *OIDCOptions) jwtAuthenticator() (apiserverapi.JWTAuthenticator, error) {
	usernamePrefix := o.UsernamePrefix
	switch {
	case usernamePrefix == "-":
		usernamePrefix = ""
	case usernamePrefix == "" && o.UsernameClaim != "email":
		usernamePrefix = o.IssuerURL + "#"
	}
	jwt := apiserverapi.JWTAuthenticator{
		Issuer: apiserverapi.Issuer{URL: o.IssuerURL, Audiences: []string{o.ClientID}},
		ClaimMappings: apiserverapi.ClaimMappings{
			Username: apiserverapi.PrefixedClaimOrExpression{Claim: o.UsernameClaim, Prefix: &usernamePrefix},
		},
	}
	if o.GroupsClaim != "" {
		jwt.ClaimMappings.Groups = apiserverapi.PrefixedClaimOrExpression{Claim: o.GroupsClaim, Prefix: &o.GroupsPrefix}
	}
	if o.CAFile != "" {
		ca, err := os.ReadFile(o.CAFile)
		if err != nil {
			return jwt, fmt.Errorf("--oidc-ca-file: %w", err)
		}
		jwt.Issuer.CertificateAuthority = string(ca)
	}
	for _, claim := range slices.Sorted(maps.Keys(o.RequiredClaims)) {
		jwt.ClaimValidationRules = append(jwt.ClaimValidationRules, apiserverapi.ClaimValidationRule{Claim: claim, RequiredValue: o.RequiredClaims[claim]})
	}
	return jwt, nil
}
