package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/wait"
	genericoptions "k8s.io/apiserver/pkg/server/options"
)

// The authorization modes.
const (
	ModeAlwaysAllow = "AlwaysAllow"
	ModeAlwaysDeny  = "AlwaysDeny"
	ModeABAC        = "ABAC"
	ModeWebhook     = "Webhook"
	ModeRBAC        = "RBAC"
	ModeNode        = "Node"
)

// modes are all modes in the order in which --help shows them.
func modes() []string {
	return []string{ModeAlwaysAllow, ModeAlwaysDeny, ModeABAC, ModeWebhook, ModeRBAC, ModeNode}
}

// AuthorizationOptions are the flags that say how requests are authorized.
type AuthorizationOptions struct {
	Modes      []string
	ConfigFile string
	PolicyFile string
	Webhook    AuthorizationWebhookOptions

	flags *pflag.FlagSet
}

// AuthorizationWebhookOptions are the flags of the subject access review webhook.
type AuthorizationWebhookOptions struct {
	ConfigFile      string
	Version         string
	AuthorizedTTL   time.Duration
	UnauthorizedTTL time.Duration
	RetryBackoff    *wait.Backoff
}

// NewAuthorizationOptions returns the defaults.
func NewAuthorizationOptions() *AuthorizationOptions {
	return &AuthorizationOptions{Webhook: AuthorizationWebhookOptions{
		Version:         "v1beta1",
		AuthorizedTTL:   5 * time.Minute,
		UnauthorizedTTL: 30 * time.Second,
		RetryBackoff:    genericoptions.DefaultAuthWebhookRetryBackoff(),
	}}
}

// AddFlags adds the flags.
func (o *AuthorizationOptions) AddFlags(fs *pflag.FlagSet) {
	o.flags = fs
	fs.StringSliceVar(&o.Modes, "authorization-mode", o.Modes, "Ordered list of plug-ins to do authorization on secure port. Defaults to AlwaysAllow if --authorization-config is not used. Comma-delimited list of: "+strings.Join(modes(), ",")+".")
	fs.StringVar(&o.ConfigFile, "authorization-config", o.ConfigFile, "File with Authorization Configuration to configure the authorizer chain. The file is reread when it changes. This flag is mutually exclusive with the other --authorization-mode and --authorization-webhook-* flags.")
	fs.StringVar(&o.PolicyFile, "authorization-policy-file", o.PolicyFile, "File with authorization policy in json line by line format, used with --authorization-mode=ABAC, on the secure port.")
	w := &o.Webhook
	fs.StringVar(&w.ConfigFile, "authorization-webhook-config-file", w.ConfigFile, "File with webhook configuration in kubeconfig format, used with --authorization-mode=Webhook. The API server will query the remote service to determine access on the API server's secure port.")
	fs.StringVar(&w.Version, "authorization-webhook-version", w.Version, "The API version of the authorization.k8s.io SubjectAccessReview to send to and expect from the webhook.")
	fs.DurationVar(&w.AuthorizedTTL, "authorization-webhook-cache-authorized-ttl", w.AuthorizedTTL, "The duration to cache 'authorized' responses from the webhook authorizer.")
	fs.DurationVar(&w.UnauthorizedTTL, "authorization-webhook-cache-unauthorized-ttl", w.UnauthorizedTTL, "The duration to cache 'unauthorized' responses from the webhook authorizer.")
}

// Validate returns all faults of the flags.
func (o *AuthorizationOptions) Validate() []error {
	var errs []error
	if o.ConfigFile != "" {
		if o.flags != nil {
			o.flags.Visit(func(f *pflag.Flag) {
				if f.Name == "authorization-mode" || strings.HasPrefix(f.Name, "authorization-webhook-") {
					errs = append(errs, fmt.Errorf("--authorization-config can not be specified when --%s is specified", f.Name))
				}
			})
		}
		return errs
	}
	seen := map[string]bool{}
	for _, m := range o.Modes {
		if !slices.Contains(modes(), m) {
			errs = append(errs, fmt.Errorf("authorization-mode %q is not a valid mode, use one of %s", m, strings.Join(modes(), ",")))
		}
		if seen[m] {
			errs = append(errs, fmt.Errorf("authorization-mode %q has mode specified more than once", o.Modes))
		}
		seen[m] = true
	}
	needs := func(mode, flag, value string) {
		switch {
		case seen[mode] && value == "":
			errs = append(errs, fmt.Errorf("authorization-mode %s's %s not passed", mode, flag))
		case !seen[mode] && value != "":
			errs = append(errs, fmt.Errorf("cannot specify --%s without mode %s", flag, mode))
		}
	}
	needs(ModeABAC, "authorization-policy-file", o.PolicyFile)
	needs(ModeWebhook, "authorization-webhook-config-file", o.Webhook.ConfigFile)
	if o.Webhook.Version != "v1" && o.Webhook.Version != "v1beta1" {
		errs = append(errs, fmt.Errorf("authorization-webhook-version %q is not one of v1, v1beta1", o.Webhook.Version))
	}
	if o.Webhook.RetryBackoff != nil && o.Webhook.RetryBackoff.Steps <= 0 {
		errs = append(errs, errors.New("number of webhook retry attempts must be greater than 0"))
	}
	return errs
}
