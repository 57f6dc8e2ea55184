package auth

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	apiserverapi "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/load"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	authorizationcel "k8s.io/apiserver/pkg/authorization/cel"
	authorizationmetrics "k8s.io/apiserver/pkg/authorization/metrics"
	"k8s.io/apiserver/pkg/authorization/union"
	"k8s.io/apiserver/pkg/server/egressselector"
	configmetrics "k8s.io/apiserver/pkg/server/options/authorizationconfig/metrics"
	webhookutil "k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/apiserver/plugin/pkg/authorizer/webhook"
	webhookmetrics "k8s.io/apiserver/plugin/pkg/authorizer/webhook/metrics"
	"k8s.io/client-go/informers"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kube-apiserver/auth/abac"
	"pilotis.dev/cmd/kube-apiserver/auth/node"
	"pilotis.dev/cmd/kube-apiserver/auth/noredirect"
	"pilotis.dev/cmd/kube-apiserver/auth/rbac"
)

// AuthorizationInputs are what the authorizers are built upon.
type AuthorizationInputs struct {
	// Informers talk to this server itself and are not started yet.
	Informers    informers.SharedInformerFactory
	APIServerID  string
	EgressLookup egressselector.Lookup
	// Serves says what this server serves: what it does not serve is no informer's to wait for. Nil is everything.
	Serves func(schema.GroupVersionResource, runtime.Object) bool
}

// Authorization is the built chain.
type Authorization struct {
	Authorizer   authorizer.Authorizer
	RuleResolver authorizer.RuleResolver
	// Modes are the kinds of authorizers at start, in order.
	Modes []string
	// Guard checks writes of Roles and bindings, whatever the modes.
	Guard *rbac.Guard
	// Run follows changes of --authorization-config until ctx ends.
	Run func(ctx context.Context)
}

// HasMode reports whether a mode is on.
func (a *Authorization) HasMode(mode string) bool {
	for _, m := range a.Modes {
		if m == mode {
			return true
		}
	}
	return false
}

// authorizers makes chains; RBAC and Node are made once and shared by all.
type authorizers struct {
	inputs   AuthorizationInputs
	options  *AuthorizationOptions
	resolver *rbac.Resolver
	rbac     *rbac.Authorizer
	node     *node.Authorizer
	cel      authorizationcel.Compiler
	metrics  webhookmetrics.AuthorizerMetrics
}

// handler is one state of the chain.
type handler struct {
	authorizer.Authorizer
	authorizer.RuleResolver
}

// Build makes the chain. Members of system:masters are allowed everything, before any authorizer is asked.
func (o *AuthorizationOptions) Build(in AuthorizationInputs) (*Authorization, error) {
	config, data, err := o.configuration()
	if err != nil {
		return nil, err
	}
	b := &authorizers{inputs: in, options: o, cel: authorizationcel.NewDefaultCompiler(), metrics: newWebhookMetrics()}
	if b.resolver, err = rbac.NewResolver(in.Informers.Rbac().V1()); err != nil {
		return nil, err
	}
	b.rbac = rbac.NewAuthorizer(b.resolver)
	for _, a := range config.Authorizers {
		if string(a.Type) == ModeNode {
			graph := node.NewGraph()
			synced, err := graph.Watch(in.Informers, in.Serves)
			if err != nil {
				return nil, err
			}
			b.node = node.NewAuthorizer(graph, synced, node.Rules())
		}
	}
	authorizationmetrics.RegisterMetrics()
	authorizationcel.RegisterMetrics()
	first, err := b.chain(config)
	if err != nil {
		return nil, err
	}
	out := &Authorization{Run: func(ctx context.Context) { <-ctx.Done() }}
	for _, a := range config.Authorizers {
		out.Modes = append(out.Modes, string(a.Type))
	}
	out.Authorizer, out.RuleResolver = first, first
	if o.ConfigFile != "" {
		r := &reloading{builder: b, file: o.ConfigFile, serverID: in.APIServerID, modes: out.Modes}
		r.current.Store(first)
		out.Authorizer, out.RuleResolver = r, r
		configmetrics.RegisterMetrics()
		configmetrics.RecordAuthorizationConfigLastConfigInfo(in.APIServerID, string(data))
		out.Run = func(ctx context.Context) {
			watchFile(ctx, o.ConfigFile, data, func(data []byte) bool { return r.reload(ctx, data) })
		}
	}
	out.Guard = rbac.NewGuard(out.Authorizer, b.resolver)
	return out, nil
}

// configuration returns the file, or what the flags amount to, and the file's content.
func (o *AuthorizationOptions) configuration() (*apiserverapi.AuthorizationConfiguration, []byte, error) {
	if o.ConfigFile != "" {
		data, err := os.ReadFile(o.ConfigFile)
		if err != nil {
			return nil, nil, fmt.Errorf("--authorization-config: %w", err)
		}
		config, err := decodeAuthorization(data)
		if err != nil {
			return nil, nil, fmt.Errorf("--authorization-config %s: %w", o.ConfigFile, err)
		}
		return config, data, nil
	}
	names := o.Modes
	if len(names) == 0 {
		names = []string{ModeAlwaysAllow}
	}
	config := &apiserverapi.AuthorizationConfiguration{}
	for _, m := range names {
		a := apiserverapi.AuthorizerConfiguration{Type: apiserverapi.AuthorizerType(m), Name: strings.ToLower(m)}
		if m == ModeWebhook {
			a.Name = "default"
			a.Webhook = &apiserverapi.WebhookConfiguration{
				AuthorizedTTL:             metav1.Duration{Duration: o.Webhook.AuthorizedTTL},
				CacheAuthorizedRequests:   true,
				UnauthorizedTTL:           metav1.Duration{Duration: o.Webhook.UnauthorizedTTL},
				CacheUnauthorizedRequests: true,
				// the flags have no timeout; this is what they always meant
				Timeout:                                  metav1.Duration{Duration: 30 * time.Second},
				FailurePolicy:                            apiserverapi.FailurePolicyNoOpinion,
				SubjectAccessReviewVersion:               o.Webhook.Version,
				MatchConditionSubjectAccessReviewVersion: "v1",
				ConnectionInfo: apiserverapi.WebhookConnectionInfo{
					Type: apiserverapi.AuthorizationWebhookConnectionInfoTypeKubeConfigFile, KubeConfigFile: &o.Webhook.ConfigFile,
				},
			}
		}
		config.Authorizers = append(config.Authorizers, a)
	}
	return config, nil, nil
}

func decodeAuthorization(data []byte) (*apiserverapi.AuthorizationConfiguration, error) {
	config, err := load.LoadFromData(data)
	if err != nil {
		return nil, err
	}
	known := sets.New(modes()...)
	// without a policy file there is no way to configure ABAC here
	known.Delete(ModeABAC)
	if errs := validation.ValidateAuthorizationConfiguration(authorizationcel.NewDefaultCompiler(), nil, config, known, sets.New(ModeWebhook)); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	return config, nil
}

// chain makes the authorizers of a configuration.
func (b *authorizers) chain(config *apiserverapi.AuthorizationConfiguration) (*handler, error) {
	chain := []union.NamedAuthorizer{{AuthorizerName: user.SystemPrivilegedGroup, Authorizer: authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)}}
	var resolvers []authorizer.RuleResolver
	for _, c := range config.Authorizers {
		var (
			z   authorizer.Authorizer
			err error
		)
		switch string(c.Type) {
		case ModeAlwaysAllow:
			z = authorizerfactory.NewAlwaysAllowAuthorizer()
		case ModeAlwaysDeny:
			z = authorizerfactory.NewAlwaysDenyAuthorizer()
		case ModeABAC:
			z, err = abac.NewFromFile(b.options.PolicyFile)
		case ModeRBAC:
			z = b.rbac
		case ModeNode:
			if b.node == nil {
				err = fmt.Errorf("the Node authorizer needs a restart of kube-apiserver")
			} else {
				z = b.node
			}
		case ModeWebhook:
			z, err = b.webhook(c)
		default:
			err = fmt.Errorf("unknown type %q", c.Type)
		}
		if err != nil {
			return nil, fmt.Errorf("authorizer %q: %w", c.Name, err)
		}
		chain = append(chain, union.NamedAuthorizer{
			AuthorizerName: c.Name,
			Authorizer:     authorizationmetrics.InstrumentedAuthorizer(string(c.Type), c.Name, z),
		})
		if r, ok := z.(authorizer.RuleResolver); ok {
			resolvers = append(resolvers, r)
		}
	}
	z, err := union.New(chain...)
	if err != nil {
		return nil, err
	}
	return &handler{z, union.NewRuleResolvers(resolvers...)}, nil
}

func (b *authorizers) webhook(c apiserverapi.AuthorizerConfiguration) (authorizer.Authorizer, error) {
	info := c.Webhook.ConnectionInfo
	if info.Type != apiserverapi.AuthorizationWebhookConnectionInfoTypeKubeConfigFile || info.KubeConfigFile == nil {
		return nil, fmt.Errorf("connectionInfo.type %q: kube-apiserver reaches webhooks by KubeConfigFile only", info.Type)
	}
	dial, err := dialer(b.inputs.EgressLookup)
	if err != nil {
		return nil, err
	}
	client, err := webhookutil.LoadKubeconfig(*info.KubeConfigFile, dial)
	if err != nil {
		return nil, fmt.Errorf("connectionInfo.kubeConfigFile %s: %w", *info.KubeConfigFile, err)
	}
	noredirect.Wrap(client)
	client.Timeout = c.Webhook.Timeout.Duration
	onError := authorizer.DecisionNoOpinion
	if c.Webhook.FailurePolicy == apiserverapi.FailurePolicyDeny {
		onError = authorizer.DecisionDeny
	}
	yes, no := c.Webhook.AuthorizedTTL.Duration, c.Webhook.UnauthorizedTTL.Duration
	if !c.Webhook.CacheAuthorizedRequests {
		yes = 0
	}
	if !c.Webhook.CacheUnauthorizedRequests {
		no = 0
	}
	webhookmetrics.RegisterWebhookMetrics()
	return webhook.New(client, c.Webhook.SubjectAccessReviewVersion, yes, no, *b.options.Webhook.RetryBackoff, onError,
		c.Webhook.MatchConditions, c.Name, b.metrics, b.cel)
}

// reloading is the chain of a file that may change.
type reloading struct {
	builder  *authorizers
	file     string
	serverID string
	modes    []string
	current  atomic.Pointer[handler]
}

// Authorize implements authorizer.Authorizer.
func (r *reloading) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	return r.current.Load().Authorize(ctx, a)
}

// ConditionsAwareAuthorize implements authorizer.Authorizer.
func (r *reloading) ConditionsAwareAuthorize(ctx context.Context, a authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return r.current.Load().ConditionsAwareAuthorize(ctx, a)
}

// EvaluateConditions implements authorizer.Authorizer.
func (r *reloading) EvaluateConditions(ctx context.Context, d authorizer.ConditionsAwareDecision, data authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return r.current.Load().EvaluateConditions(ctx, d, data)
}

// RulesFor implements authorizer.RuleResolver.
func (r *reloading) RulesFor(ctx context.Context, u user.Info, namespace string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	return r.current.Load().RulesFor(ctx, u, namespace)
}

// reload takes a valid new file over; else the former stays. Webhooks may come and go, other authorizers not: they
// depend on what was started with the server.
func (r *reloading) reload(ctx context.Context, data []byte) bool {
	logger := klog.FromContext(ctx)
	next, err := r.next(data)
	if err != nil {
		logger.Error(err, "Kept the former authorization configuration", "file", r.file)
		configmetrics.RecordAuthorizationConfigAutomaticReloadFailure(r.serverID)
		return false
	}
	r.current.Store(next)
	logger.Info("Reloaded the authorization configuration", "file", r.file)
	configmetrics.RecordAuthorizationConfigAutomaticReloadSuccess(r.serverID, string(data))
	return true
}

func (r *reloading) next(data []byte) (*handler, error) {
	config, err := decodeAuthorization(data)
	if err != nil {
		return nil, err
	}
	before, after := sets.New(r.modes...).Delete(ModeWebhook), sets.New[string]()
	for _, a := range config.Authorizers {
		after.Insert(string(a.Type))
	}
	if after.Delete(ModeWebhook); !after.Equal(before) {
		return nil, fmt.Errorf("authorizers besides webhooks changed from %v to %v: that needs a restart of kube-apiserver", sets.List(before), sets.List(after))
	}
	return r.builder.chain(config)
}
