package auth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sync/atomic"
	"time"

	apiserverapi "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/options/authenticationconfig/metrics"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"
	"k8s.io/klog/v2"
)

// healthWait is how long a reloaded provider may take until its keys are known; drainWait is how long requests may
// still use the former ones.
const (
	healthWait = time.Minute
	drainWait  = time.Minute
)

// openIDs authenticates by the providers of the configuration file, whose content may change at any time.
type openIDs struct {
	file      string
	serverID  string
	anonymous *apiserverapi.AnonymousAuthConfig
	issuers   []string // of service accounts: no provider may claim them
	make      func(ctx context.Context, jwts []apiserverapi.JWTAuthenticator) (*providers, error)
	current   atomic.Pointer[providers]
}

// providers is one state of the file.
type providers struct {
	token  authenticator.Token
	health func() error
	stop   context.CancelFunc
}

// AuthenticateToken implements authenticator.Token.
func (p *openIDs) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	return p.current.Load().token.AuthenticateToken(ctx, token)
}

func (o *AuthenticationOptions) openIDConnect(ctx context.Context, in AuthenticationInputs, out *Authentication, c *chain, config *apiserverapi.AuthenticationConfiguration) error {
	if len(config.JWT) == 0 && o.ConfigFile == "" {
		return nil
	}
	oidc.RegisterMetrics()
	p := &openIDs{file: o.ConfigFile, serverID: in.APIServerID, anonymous: config.Anonymous, issuers: o.ServiceAccounts.Issuers}
	p.make = func(ctx context.Context, jwts []apiserverapi.JWTAuthenticator) (*providers, error) {
		return o.providers(ctx, in, out.APIAudiences, jwts)
	}
	first, err := p.make(ctx, config.JWT)
	if err != nil {
		return err
	}
	p.current.Store(first)
	c.tokens = append(c.tokens, p)
	if o.ConfigFile != "" {
		data, err := os.ReadFile(o.ConfigFile)
		if err != nil {
			return fmt.Errorf("--authentication-config: %w", err)
		}
		metrics.RegisterMetrics()
		metrics.RecordAuthenticationConfigLastConfigInfo(in.APIServerID, string(data))
		c.runs = append(c.runs, func(run context.Context) {
			watchFile(run, o.ConfigFile, data, func(data []byte) bool { return p.reload(ctx, run, data) })
		})
	}
	return nil
}

// providers makes one authenticator a provider; their keys are fetched in the background.
func (o *AuthenticationOptions) providers(ctx context.Context, in AuthenticationInputs, audiences authenticator.Audiences, jwts []apiserverapi.JWTAuthenticator) (*providers, error) {
	ctx, stop := context.WithCancel(ctx)
	var tokens []authenticator.Token
	var checks []func() error
	algorithms := oidc.AllValidSigningAlgorithms()
	if o.ConfigFile == "" {
		algorithms = o.OIDC.SigningAlgs
	}
	for _, jwt := range jwts {
		var ca oidc.CAContentProvider
		if jwt.Issuer.CertificateAuthority != "" {
			content, err := dynamiccertificates.NewStaticCAContent("oidc-authenticator", []byte(jwt.Issuer.CertificateAuthority))
			if err != nil {
				stop()
				return nil, fmt.Errorf("certificate authority of issuer %s: %w", jwt.Issuer.URL, err)
			}
			ca = content
		}
		one, err := oidc.New(ctx, oidc.Options{
			JWTAuthenticator:     jwt,
			CAContentProvider:    ca,
			EgressLookup:         in.EgressLookup,
			SupportedSigningAlgs: algorithms,
			DisallowedIssuers:    o.ServiceAccounts.Issuers,
			APIServerID:          in.APIServerID,
		})
		if err != nil {
			stop()
			return nil, fmt.Errorf("OpenID Connect issuer %s: %w", jwt.Issuer.URL, err)
		}
		tokens = append(tokens, authenticator.WrapAudienceAgnosticToken(audiences, one))
		checks = append(checks, one.HealthCheck)
	}
	return &providers{
		token: tokenunion.New(tokens...),
		health: func() error {
			var errs []error
			for _, check := range checks {
				errs = append(errs, check())
			}
			return errors.Join(errs...)
		},
		stop: stop,
	}, nil
}

// reload takes the new content over when it is valid and its providers answer; else the former stays.
func (p *openIDs) reload(life, run context.Context, data []byte) bool {
	logger := klog.FromContext(run)
	next, err := p.next(life, run, data)
	if err != nil {
		logger.Error(err, "Kept the former authentication configuration", "file", p.file)
		metrics.RecordAuthenticationConfigAutomaticReloadFailure(p.serverID)
		return false
	}
	former := p.current.Swap(next)
	logger.Info("Reloaded the authentication configuration", "file", p.file)
	metrics.RecordAuthenticationConfigAutomaticReloadSuccess(p.serverID, string(data))
	time.AfterFunc(drainWait, former.stop)
	return true
}

func (p *openIDs) next(life, run context.Context, data []byte) (*providers, error) {
	config, err := decodeAuthentication(data)
	if err != nil {
		return nil, err
	}
	if errs := validation.ValidateAuthenticationConfiguration(authenticationcel.NewDefaultCompiler(), config, p.issuers); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	if config.Anonymous != nil && !reflect.DeepEqual(config.Anonymous, p.anonymous) {
		return nil, errors.New("anonymous: changes need a restart of kube-apiserver")
	}
	next, err := p.make(life, config.JWT)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(run, healthWait)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		err := next.health()
		if err == nil {
			return next, nil
		}
		select {
		case <-ctx.Done():
			next.stop()
			return nil, fmt.Errorf("providers are not reachable: %w", err)
		case <-tick.C:
		}
	}
}
