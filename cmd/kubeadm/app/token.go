package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	bootstraputil "k8s.io/cluster-bootstrap/token/util"
	"pilotis.dev/cmd/kubeadm/cluster"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/cmd/kubeadm/phases"
	"pilotis.dev/pkg/certs"
	"sigs.k8s.io/yaml"
)

// tokenCommands share how they reach the cluster.
type tokenCommands struct {
	env        Env
	kubeconfig string
	dryRun     bool
}

func newToken(env Env) *cobra.Command {
	t := &tokenCommands{env: env}
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Manage bootstrap tokens",
		Long: `Bootstrap tokens are used for establishing bidirectional trust between a node joining the cluster and a control-plane node
(https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/).`,
		Args: cobra.NoArgs,
		RunE: showHelp,
	}
	cmd.PersistentFlags().StringVar(&t.kubeconfig, "kubeconfig", "", "The kubeconfig file to use when talking to the cluster. If the flag is not set, KUBECONFIG or /etc/kubernetes/admin.conf is used.")
	cmd.PersistentFlags().BoolVar(&t.dryRun, "dry-run", false, "Whether to enable dry-run mode or not")
	cmd.AddCommand(t.create(), t.list(), t.delete(), t.generate())
	return cmd
}

// adminPath is the kubeconfig of commands that manage a running cluster: the flag, $KUBECONFIG, or the administrator's file.
func adminPath(flag string) string {
	if flag != "" {
		return flag
	}
	if env := os.Getenv(clientcmd.RecommendedConfigPathEnvVar); env != "" {
		first, _, _ := strings.Cut(env, string(os.PathListSeparator))
		return first
	}
	return phases.KubernetesDir + "/" + phases.AdminConf
}

func (t *tokenCommands) client() (kubernetes.Interface, error) {
	if t.dryRun {
		return cluster.DryRun(t.env.Out, "")
	}
	return cluster.Client(adminPath(t.kubeconfig))
}

func (t *tokenCommands) create() *cobra.Command {
	var token config.BootstrapToken
	var ttl time.Duration
	var print bool
	var file, certificateKey string
	cmd := &cobra.Command{
		Use:   "create [token]",
		Short: "Create bootstrap tokens on the server",
		Long:  "Create bootstrap tokens on the server. Without an argument the token is generated.",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := noMixing(cmd.Flags(), "dry-run", "print-join-command", "certificate-key"); err != nil {
				return err
			}
			tokens, err := tokensOf(file, token, ttl, args)
			if err != nil {
				return invalid{err}
			}
			client, err := t.client()
			if err != nil {
				return err
			}
			for _, token := range tokens {
				err := cluster.CreateToken(cmd.Context(), client, token, t.env.Now())
				if err != nil {
					return err
				}
				if !print {
					fmt.Fprintln(t.env.Out, token.Token)
					continue
				}
				join, err := t.joinCommand(token.Token, certificateKey)
				if err != nil {
					return err
				}
				fmt.Fprintln(t.env.Out, join.Line())
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&file, "config", "", "Path to a kubeadm configuration file.")
	flags.DurationVar(&ttl, "ttl", config.DefaultTokenTTL, "The duration before the token is automatically deleted (e.g. 1s, 2m, 3h). If set to '0', the token will never expire")
	flags.StringSliceVar(&token.Usages, "usages", []string{"signing", "authentication"}, "Describes the ways in which this token can be used. You can pass --usages multiple times or provide a comma separated list of options.")
	flags.StringSliceVar(&token.Groups, "groups", []string{config.NodeBootstrapGroup}, "Extra groups that this token will authenticate as when used for authentication.")
	flags.StringVar(&token.Description, "description", "", "A human friendly description of how this token is used.")
	flags.BoolVar(&print, "print-join-command", false, "Instead of printing only the token, print the full 'kubeadm join' flag needed to join the cluster using the token.")
	flags.StringVar(&certificateKey, "certificate-key", "", "When used together with '--print-join-command', print the full 'kubeadm join' flag needed to join the cluster as a control-plane.")
	return cmd
}

// tokensOf returns the tokens of a file, or the one that flags describe, complete and valid.
func tokensOf(file string, token config.BootstrapToken, ttl time.Duration, args []string) ([]config.BootstrapToken, error) {
	tokens := []config.BootstrapToken{token}
	if file != "" {
		docs, err := config.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if docs.Init == nil || len(docs.Init.BootstrapTokens) == 0 {
			return nil, fmt.Errorf("--config %s: no bootstrapTokens in an %s found", file, config.KindInit)
		}
		tokens = docs.Init.BootstrapTokens
	} else {
		tokens[0].TTL = &metav1.Duration{Duration: ttl}
		if len(args) > 0 {
			tokens[0].Token = args[0]
		}
		if !slices.Contains(token.Usages, "authentication") {
			tokens[0].Groups = nil
		}
	}
	for i := range tokens {
		usesGroups := len(tokens[i].Groups) > 0
		if err := config.DefaultToken(&tokens[i]); err != nil {
			return nil, err
		}
		if !usesGroups && !slices.Contains(tokens[i].Usages, "authentication") {
			tokens[i].Groups = nil
		}
	}
	return tokens, config.Faults("bootstrap token", config.ValidateTokens(tokens))
}

// joinCommand reads address and authority of the cluster from the administrator's kubeconfig.
func (t *tokenCommands) joinCommand(token, certificateKey string) (JoinCommand, error) {
	path := adminPath(t.kubeconfig)
	cfg, err := certs.ReadKubeconfig(path)
	if err != nil {
		return JoinCommand{}, err
	}
	found, _, err := certs.Current(cfg)
	if err != nil {
		return JoinCommand{}, fmt.Errorf("%s: %w", path, err)
	}
	bundle := found.CertificateAuthorityData
	if len(bundle) == 0 && found.CertificateAuthority != "" {
		if bundle, err = os.ReadFile(found.CertificateAuthority); err != nil {
			return JoinCommand{}, err
		}
	}
	authorities, err := certs.ParseCerts(bundle)
	if err != nil {
		return JoinCommand{}, fmt.Errorf("%s: no certificate authority: %w", path, err)
	}
	join := JoinCommand{Endpoint: strings.TrimPrefix(found.Server, "https://"), Token: token, ControlPlane: certificateKey != "", CertificateKey: certificateKey}
	for _, ca := range authorities {
		join.Pins = append(join.Pins, certs.Pin(ca))
	}
	return join, nil
}

func (t *tokenCommands) list() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List bootstrap tokens on the server",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := t.client()
			if err != nil {
				return err
			}
			tokens, faults, err := cluster.Tokens(cmd.Context(), client)
			if err != nil {
				return err
			}
			if err := t.print(output, tokens); err != nil {
				return err
			}
			return errors.Join(faults...)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "Output format. One of: text|json|yaml.")
	return cmd
}

func (t *tokenCommands) print(output string, tokens []config.BootstrapToken) error {
	switch output {
	case "json":
		for _, token := range tokens {
			data, err := json.MarshalIndent(token, "", "    ")
			if err != nil {
				return err
			}
			fmt.Fprintf(t.env.Out, "%s\n", data)
		}
		return nil
	case "yaml":
		for _, token := range tokens {
			data, err := yaml.Marshal(token)
			if err != nil {
				return err
			}
			fmt.Fprintf(t.env.Out, "---\n%s", data)
		}
		return nil
	case "text":
	default:
		return invalid{fmt.Errorf("invalid output format %q: use text, json or yaml", output)}
	}
	if len(tokens) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(t.env.Out, 10, 4, 3, ' ', 0)
	fmt.Fprintln(table, "TOKEN\tTTL\tEXPIRES\tUSAGES\tDESCRIPTION\tEXTRA GROUPS")
	for _, token := range tokens {
		ttl, expires := "<forever>", "<never>"
		if token.Expires != nil {
			expires = token.Expires.UTC().Format(time.RFC3339)
			ttl = duration.ShortHumanDuration(token.Expires.Sub(t.env.Now()))
			if token.Expires.Time.Before(t.env.Now()) {
				ttl = "<invalid>"
			}
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", token.Token, ttl, expires, orNone(token.Usages), orText(token.Description), orNone(token.Groups))
	}
	return table.Flush()
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "<none>"
	}
	return strings.Join(list, ",")
}

func orText(text string) string {
	if text == "" {
		return "<none>"
	}
	return text
}

func (t *tokenCommands) delete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete [token-value] ...",
		Short: "Delete bootstrap tokens on the server",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return invalid{errors.New("missing argument; 'token delete' is missing token of form \"[a-z0-9]{6}.[a-z0-9]{16}\" or its id")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := t.client()
			if err != nil {
				return err
			}
			for _, token := range args {
				id, err := cluster.DeleteToken(cmd.Context(), client, token)
				if err != nil {
					return err
				}
				fmt.Fprintf(t.env.Out, "bootstrap token %q deleted\n", id)
			}
			return nil
		},
	}
}

func (t *tokenCommands) generate() *cobra.Command {
	return &cobra.Command{
		Use:   "generate",
		Short: "Generate and print a bootstrap token, but do not create it on the server",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			token, err := bootstraputil.GenerateBootstrapToken()
			if err != nil {
				return err
			}
			fmt.Fprintln(t.env.Out, token)
			return nil
		},
	}
}
