package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/duration"
	"pilotis.dev/cmd/kubeadm/cluster"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/cmd/kubeadm/phases"
	"sigs.k8s.io/yaml"
)

// certsCommands share where the certificates are and how the cluster's configuration is found.
type certsCommands struct {
	env                       Env
	certDir, file, kubeconfig string
	kubeconfigDir, output     string
}

func newCerts(env Env) *cobra.Command {
	c := &certsCommands{env: env}
	cmd := &cobra.Command{Use: "certs", Aliases: []string{"certificates"}, Short: "Commands related to handling Kubernetes certificates", Args: cobra.NoArgs, RunE: showHelp}
	cmd.AddCommand(c.expiration(), c.renew(), c.request(), c.key())
	return cmd
}

func (c *certsCommands) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&c.certDir, "cert-dir", config.DefaultCertificatesDir, "The path where to save and store the certificates.")
	flags.StringVar(&c.file, "config", "", "Path to a kubeadm configuration file.")
	flags.StringVar(&c.kubeconfig, "kubeconfig", "", "The kubeconfig file to use when talking to the cluster. If the flag is not set, /etc/kubernetes/admin.conf is used.")
}

// node loads the configuration of this control plane node: from a file, else from the cluster, else the defaults with what is on
// disk.
func (c *certsCommands) node(ctx context.Context, flags *pflag.FlagSet) (*phases.Node, error) {
	machine, err := c.env.machine()
	if err != nil {
		return nil, err
	}
	docs := &config.Documents{}
	if c.file != "" {
		if docs, err = config.ReadFile(c.file); err != nil {
			return nil, invalid{err}
		}
	} else if client, err := cluster.Client(adminPath(c.kubeconfig)); err == nil {
		stored, err := cluster.Stored(ctx, client, false)
		if err != nil {
			fmt.Fprintf(c.env.Err, "[certs] The cluster's configuration cannot be read, using defaults: %v\n", err)
		} else {
			docs = stored
		}
	}
	if docs.Cluster == nil {
		docs.Cluster = &config.ClusterConfiguration{}
	}
	if docs.Init == nil {
		docs.Init = &config.InitConfiguration{}
	}
	merge(flags, "cert-dir", c.certDir, &docs.Cluster.CertificatesDir)
	node, err := completeCluster(docs, machine, func() error { return config.DefaultInit(docs.Init, machine) })
	if err != nil {
		return nil, invalid{err}
	}
	node.Registration, node.Endpoint, node.Timeouts = &docs.Init.NodeRegistration, docs.Init.LocalAPIEndpoint, docs.Init.Timeouts
	c.env.equip(node, machine)
	return node, nil
}

func (c *certsCommands) expiration() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check-expiration",
		Short: "Check certificates expiration for a Kubernetes cluster",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			node, err := c.node(cmd.Context(), cmd.Flags())
			if err != nil {
				return err
			}
			return c.print(node.Expirations())
		},
	}
	c.addFlags(cmd.Flags())
	cmd.Flags().StringVarP(&c.output, "output", "o", "text", "Output format. One of: text|json|yaml.")
	return cmd
}

func (c *certsCommands) print(leaves, authorities []phases.Expiration) error {
	switch c.output {
	case "json", "yaml":
		data, err := json.MarshalIndent(map[string]any{
			"apiVersion": "output.kubeadm.k8s.io/v1alpha3", "kind": "CertificateExpirationInfo", "certificates": leaves, "certificateAuthorities": authorities,
		}, "", "    ")
		if err == nil && c.output == "yaml" {
			data, err = yaml.JSONToYAML(data)
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(c.env.Out, string(data))
		return nil
	case "text":
	default:
		return invalid{fmt.Errorf("invalid output format %q: use text, json or yaml", c.output)}
	}
	now := c.env.Now()
	table := tabwriter.NewWriter(c.env.Out, 10, 4, 3, ' ', 0)
	fmt.Fprintln(table, "CERTIFICATE\tEXPIRES\tRESIDUAL TIME\tCERTIFICATE AUTHORITY\tEXTERNALLY MANAGED")
	for _, e := range leaves {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", e.Name, when(e), residual(e, now), e.Authority, yesNo(e.ExternallyManaged))
	}
	fmt.Fprintln(table, "\t\t\t\t")
	fmt.Fprintln(table, "CERTIFICATE AUTHORITY\tEXPIRES\tRESIDUAL TIME\tEXTERNALLY MANAGED\t")
	for _, e := range authorities {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t\n", e.Name, when(e), residual(e, now), yesNo(e.ExternallyManaged))
	}
	return table.Flush()
}

func when(e phases.Expiration) string {
	if e.Missing {
		return "!MISSING!"
	}
	return e.Expires.Format("Jan 02, 2006 15:04 MST")
}

func residual(e phases.Expiration, now time.Time) string {
	if e.Missing {
		return ""
	}
	if left := e.Expires.Sub(now); left > 0 {
		return duration.ShortHumanDuration(left)
	}
	return "<invalid>"
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// renew has one command a certificate, and all.
func (c *certsCommands) renew() *cobra.Command {
	cmd := &cobra.Command{Use: "renew", Short: "Renew certificates for a Kubernetes cluster", Args: cobra.NoArgs, RunE: showHelp}
	names := phases.Renewable(&config.ClusterConfiguration{})
	one := func(name, short string, chosen []string) {
		sub := &cobra.Command{Use: name, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			node, err := c.node(cmd.Context(), cmd.Flags())
			if err != nil {
				return err
			}
			var faults []error
			for _, name := range chosen {
				err := node.Renew(cmd.Context(), name)
				if errors.Is(err, fs.ErrNotExist) {
					fmt.Fprintf(c.env.Out, "MISSING! %s\n", name)
					if len(chosen) > 1 {
						continue
					}
				}
				if err != nil {
					faults = append(faults, fmt.Errorf("renewing %s: %w", name, err))
					continue
				}
				fmt.Fprintf(c.env.Out, "certificate %s renewed\n", name)
			}
			if len(faults) == 0 && len(chosen) > 1 {
				fmt.Fprintln(c.env.Out, "\nDone renewing certificates. You must restart the kube-apiserver, kube-controller-manager, kube-scheduler and etcd, so that they can use the new certificates.")
			}
			return errors.Join(faults...)
		}}
		c.addFlags(sub.Flags())
		cmd.AddCommand(sub)
	}
	for _, name := range names {
		one(name, "Renew the certificate "+name, []string{name})
	}
	one("all", "Renew all available certificates", names)
	return cmd
}

func (c *certsCommands) request() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "generate-csr",
		Short: "Generate keys and certificate signing requests",
		Long:  "Generates keys and certificate signing requests (CSRs) for all the certificates required to run the control plane, and incomplete kubeconfig files with the private key. Both are for an authority kept elsewhere.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			node, err := c.node(cmd.Context(), cmd.Flags())
			if err != nil {
				return err
			}
			return node.Requests(cmd.Context(), c.kubeconfigDir)
		},
	}
	c.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&c.kubeconfigDir, "kubeconfig-dir", filepath.Clean(phases.KubernetesDir), "The path where to save the kubeconfig file.")
	return cmd
}

func (c *certsCommands) key() *cobra.Command {
	return &cobra.Command{
		Use:   "certificate-key",
		Short: "Generate certificate keys",
		Long:  "Prints out a secure randomly-generated certificate key that can be used with the \"init\" command.",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			key, err := phases.NewCertificateKey()
			if err != nil {
				return err
			}
			fmt.Fprintln(c.env.Out, key)
			return nil
		},
	}
}
