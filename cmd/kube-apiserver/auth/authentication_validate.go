package auth

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Validate returns all faults of the flags.
func (o *AuthenticationOptions) Validate() []error {
	var errs []error
	errs = append(errs, o.RequestHeader.Validate()...)
	errs = append(errs, o.ServiceAccounts.validate()...)
	if o.ConfigFile != "" {
		errs = append(errs, o.exclusive()...)
	} else {
		errs = append(errs, o.OIDC.validate()...)
	}
	for _, a := range o.APIAudiences {
		if a == "" {
			errs = append(errs, errors.New("--api-audiences must not contain an empty value"))
		}
	}
	if o.Webhook.ConfigFile != "" && o.Webhook.Version != "v1" && o.Webhook.Version != "v1beta1" {
		errs = append(errs, fmt.Errorf("--authentication-token-webhook-version %q is not one of v1, v1beta1", o.Webhook.Version))
	}
	return errs
}

// exclusive refuses flags that --authentication-config replaces.
func (o *AuthenticationOptions) exclusive() []error {
	var errs []error
	if o.flags == nil {
		return nil
	}
	o.flags.Visit(func(f *pflag.Flag) {
		if strings.HasPrefix(f.Name, "oidc-") {
			errs = append(errs, fmt.Errorf("authentication-config file and --%s are mutually exclusive", f.Name))
		}
	})
	return errs
}

func (o *ServiceAccountOptions) validate() []error {
	var errs []error
	seen := map[string]bool{}
	for _, issuer := range o.Issuers {
		switch {
		case issuer == "":
			errs = append(errs, errors.New("service-account-issuer should not be an empty string"))
		case seen[issuer]:
			errs = append(errs, fmt.Errorf("service-account-issuer %q is already specified", issuer))
		case strings.Contains(issuer, ":"):
			if _, err := url.Parse(issuer); err != nil {
				errs = append(errs, fmt.Errorf("service-account-issuer %q contained a ':' but was not a valid URL: %w", issuer, err))
			}
		}
		seen[issuer] = true
	}
	if len(o.Issuers) == 0 {
		errs = append(errs, errors.New("service-account-issuer is a required flag"))
	}
	if o.SigningKeyFile == "" {
		errs = append(errs, errors.New("service-account-signing-key-file is a required flag"))
	}
	if o.MaxExpiration != 0 && (o.MaxExpiration < time.Hour || o.MaxExpiration > (1<<32)*time.Second) {
		errs = append(errs, fmt.Errorf("the service-account-max-token-expiration must be between 1 hour and 2^32 seconds, not %s", o.MaxExpiration))
	}
	if o.JWKSURI != "" {
		if u, err := url.Parse(o.JWKSURI); err != nil {
			errs = append(errs, fmt.Errorf("service-account-jwks-uri must be a valid URL: %w", err))
		} else if u.Scheme != "https" {
			errs = append(errs, fmt.Errorf("service-account-jwks-uri requires https scheme, parsed as: %s", u))
		}
	}
	return errs
}

func (o *OIDCOptions) validate() []error {
	var errs []error
	if (o.IssuerURL == "") != (o.ClientID == "") {
		errs = append(errs, errors.New("oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set"))
	}
	if o.IssuerURL == "" {
		return errs
	}
	if o.UsernameClaim == "" {
		errs = append(errs, errors.New("oidc-username-claim must not be empty when oidc-issuer-url is set"))
	}
	if len(o.SigningAlgs) == 0 {
		errs = append(errs, errors.New("oidc-signing-algs must not be empty when oidc-issuer-url is set"))
	}
	return errs
}
