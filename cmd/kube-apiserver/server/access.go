package server

import (
	"context"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/egressselector"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kube-apiserver/admission"
	"pilotis.dev/cmd/kube-apiserver/auth"
	"pilotis.dev/cmd/kube-apiserver/auth/rbac/policy"
)

// AccessOptions are who may come in, what they may do, and what of it is let through.
type AccessOptions struct {
	Authentication *auth.AuthenticationOptions
	Authorization  *auth.AuthorizationOptions
	Admission      *admission.Options
}

// NewAccessOptions returns the defaults.
func NewAccessOptions() *AccessOptions {
	return &AccessOptions{
		Authentication: auth.NewAuthenticationOptions(),
		Authorization:  auth.NewAuthorizationOptions(),
		Admission:      admission.NewOptions(),
	}
}

// AddFlags adds the sections authentication, authorization and admission.
func (o *AccessOptions) AddFlags(fss *cliflag.NamedFlagSets) {
	o.Authentication.AddFlags(fss.FlagSet("authentication"))
	o.Authorization.AddFlags(fss.FlagSet("authorization"))
	o.Admission.AddFlags(fss.FlagSet("admission"))
}

// Validate returns every fault of the flags.
func (o *AccessOptions) Validate() []error {
	var errs []error
	errs = append(errs, o.Authentication.Validate()...)
	errs = append(errs, o.Authorization.Validate()...)
	return append(errs, o.Admission.Validate()...)
}

// applyAccess sets authentication and authorization of c.
func (c *config) applyAccess(ctx context.Context) error {
	g, o := c.generic, c.options.Access
	var egress egressselector.Lookup
	if g.EgressSelector != nil {
		egress = g.EgressSelector.Lookup
	}
	authn, err := o.Authentication.Build(ctx, auth.AuthenticationInputs{
		Informers: c.informers, Client: c.client, APIServerID: g.APIServerID, EgressLookup: egress, ExternalAddress: c.externalAddress(),
	})
	if err != nil {
		return err
	}
	if err := authn.ApplyTo(&g.Authentication, g.SecureServing); err != nil {
		return err
	}
	g.Authentication.Authenticator = roomy(g.Authentication.Authenticator)
	g.OpenAPIConfig.SecurityDefinitions = &authn.SecurityDefinitions
	if err := g.AddPostStartHook("start-authentication", func(hook genericapiserver.PostStartHookContext) error {
		go authn.Run(hook)
		return nil
	}); err != nil {
		return err
	}
	if authn.OpenIDError != nil {
		klog.FromContext(ctx).Info("Service account tokens cannot be verified by OpenID discovery", "reason", authn.OpenIDError.Error())
	}
	c.authn = authn

	authz, err := o.Authorization.Build(auth.AuthorizationInputs{Informers: c.informers, APIServerID: g.APIServerID, EgressLookup: egress, Serves: c.serves})
	if err != nil {
		return err
	}
	g.Authorization.Authorizer, g.RuleResolver = authz.Authorizer, authz.RuleResolver
	c.authz = authz
	if authz.HasMode(auth.ModeRBAC) {
		if err := g.AddPostStartHook(policy.HookName, policy.Hook(c.client)); err != nil {
			return err
		}
	}
	return g.AddPostStartHook("start-authorization-config", func(hook genericapiserver.PostStartHookContext) error {
		go authz.Run(hook)
		return nil
	})
}

// applyAdmission sets the admission chain.
func (c *config) applyAdmission() error {
	return c.options.Access.Admission.ApplyTo(c.generic, c.informers, c.client, c.dynamic, c.webhookInitializer())
}
