package app

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"pilotis.dev/cmd/kubeadm/phases"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func newKubeconfig(env Env) *cobra.Command {
	cmd := &cobra.Command{Use: "kubeconfig", Short: "Kubeconfig file utilities", Args: cobra.NoArgs, RunE: showHelp}
	cmd.AddCommand(newKubeconfigUser(env))
	return cmd
}

// newKubeconfigUser prints a kubeconfig for an additional user. It needs the cluster's authority with its key on this machine.
func newKubeconfigUser(env Env) *cobra.Command {
	c := &certsCommands{env: env}
	var name, token string
	var organizations []string
	var validity time.Duration
	cmd := &cobra.Command{
		Use:     "user",
		Short:   "Output a kubeconfig file for an additional user",
		Example: "  # Output a kubeconfig file for an additional user named foo\n  kubeadm kubeconfig user --client-name=foo\n\n  # Output a kubeconfig file for an additional user named foo using a kubeadm config file bar\n  kubeadm kubeconfig user --client-name=foo --config=bar",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			node, err := c.node(cmd.Context(), cmd.Flags())
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("validity-period") {
				node.Cluster.CertificateValidityPeriod = &metav1.Duration{Duration: validity}
			}
			cfg, err := userKubeconfig(node, name, organizations, token)
			if err != nil {
				return err
			}
			data, err := clientcmd.Write(*cfg)
			if err != nil {
				return err
			}
			fmt.Fprintf(env.Out, "%s", data)
			return nil
		},
	}
	c.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&name, "client-name", "", "The name of user. It will be used as the CN if client certificates are created")
	cmd.Flags().StringVar(&token, "token", "", "The token that should be used as the authentication mechanism for this kubeconfig, instead of client certificates")
	cmd.Flags().StringSliceVar(&organizations, "org", nil, "The organizations of the client certificate. It will be used as the O if client certificates are created")
	cmd.Flags().DurationVar(&validity, "validity-period", 365*24*time.Hour, "The validity period of the client certificate, as an offset from the current time.")
	if err := cmd.MarkFlagRequired("client-name"); err != nil {
		panic(err) // the flag is defined two lines above
	}
	return cmd
}

func userKubeconfig(node *phases.Node, name string, organizations []string, token string) (*clientcmdapi.Config, error) {
	if token != "" {
		return node.TokenKubeconfig(name, token)
	}
	return node.NewKubeconfig(phases.Identity{CommonName: name, Organizations: organizations})
}
