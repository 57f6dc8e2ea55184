package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"pilotis.dev/cmd/kubeadm/cluster"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/cmd/kubeadm/host"
	"pilotis.dev/cmd/kubeadm/phases"
	"pilotis.dev/cmd/kubeadm/preflight"
	"pilotis.dev/cmd/kubeadm/workflow"
)

// resetData is what the phases of reset work on.
type resetData struct {
	phases.Reset
	env    Env
	ignore []string
}

type resetFlags struct {
	config.ResetConfiguration
	file       string
	kubeconfig string
	ignore     []string
}

func newReset(env Env) *cobra.Command {
	f := &resetFlags{}
	list := resetPhases()
	load := func(cmd *cobra.Command, _ []string) (*resetData, error) { return loadReset(env, f, cmd) }
	cmd := &cobra.Command{
		Use:   "reset",
		Short: "Performs a best effort revert of changes made to this host by 'kubeadm init' or 'kubeadm join'",
		Long:  "Performs a best effort revert of changes made to this host by 'kubeadm init' or 'kubeadm join'\n\n" + list.Usage("reset"),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := load(cmd, args)
			if err != nil {
				return err
			}
			if err := list.Run(cmd.Context(), data, data.Config.SkipPhases); err != nil {
				return err
			}
			fmt.Fprint(env.Out, `
The reset process does not perform cleanup of CNI plugin configuration,
network traffic filtering rules and kubeconfig files.

For information on how to perform this cleanup manually, please see:
    https://k8s.io/docs/reference/setup-tools/kubeadm/kubeadm-reset/

`)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.file, "config", "", "Path to a kubeadm configuration file.")
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "The kubeconfig file to read the cluster's configuration with, which names the directory of the certificates. If empty, /etc/kubernetes/admin.conf, where it exists.")
	flags.StringVar(&f.CertificatesDir, "cert-dir", config.DefaultCertificatesDir, "The path to the directory where the certificates are stored. If specified, clean this directory.")
	flags.StringVar(&f.CRISocket, "cri-socket", "", "Path to the CRI socket to connect. If empty kubeadm will try to auto-detect this value.")
	flags.BoolVar(&f.CleanupTmpDir, "cleanup-tmp-dir", false, "Cleanup the \"/etc/kubernetes/tmp\" directory")
	flags.BoolVar(&f.DryRun, "dry-run", false, "Don't apply any changes; just output what would be done.")
	flags.BoolVarP(&f.Force, "force", "f", false, "Reset the node without prompting for confirmation.")
	flags.StringSliceVar(&f.ignore, "ignore-preflight-errors", nil, "A list of checks whose errors will be shown as warnings. Value 'all' ignores errors from all checks.")
	flags.StringSliceVar(&f.SkipPhases, "skip-phases", nil, "List of phases to be skipped")
	cmd.AddCommand(list.Command("reset", func(c *cobra.Command) { c.Flags().AddFlagSet(cmd.Flags()) }, load))
	return cmd
}

func loadReset(env Env, f *resetFlags, cmd *cobra.Command) (*resetData, error) {
	flags := cmd.Flags()
	if err := noMixing(flags, "dry-run", "force", "ignore-preflight-errors", "cri-socket", "cleanup-tmp-dir", "skip-phases"); err != nil {
		return nil, err
	}
	c := f.ResetConfiguration
	if f.file != "" {
		docs, err := config.ReadFile(f.file)
		if err != nil {
			return nil, invalid{err}
		}
		if docs.Reset == nil {
			return nil, invalid{fmt.Errorf("--config %s: no %s found", f.file, config.KindReset)}
		}
		c = *docs.Reset
	}
	merge(flags, "dry-run", f.DryRun, &c.DryRun)
	merge(flags, "force", f.Force, &c.Force)
	merge(flags, "cri-socket", f.CRISocket, &c.CRISocket)
	merge(flags, "cleanup-tmp-dir", f.CleanupTmpDir, &c.CleanupTmpDir)
	merge(flags, "skip-phases", f.SkipPhases, &c.SkipPhases)
	machine, err := env.machine()
	if err != nil {
		return nil, err
	}
	certDirGiven := flags.Changed("cert-dir") || (f.file != "" && c.CertificatesDir != "")
	config.DefaultReset(&c, machine)
	if err := config.Faults(config.KindReset, config.ValidateReset(&c)); err != nil {
		return nil, invalid{err}
	}
	node := &phases.Node{
		Cluster: &config.ClusterConfiguration{CertificatesDir: c.CertificatesDir}, Registration: &config.NodeRegistration{Name: machine.Hostname, CRISocket: c.CRISocket},
		Timeouts: c.Timeouts, DryRun: c.DryRun,
	}
	env.equip(node, machine)
	if !certDirGiven {
		c.CertificatesDir = clusterCertificates(cmd.Context(), env, f.kubeconfig, c.CertificatesDir)
		node.Cluster.CertificatesDir = c.CertificatesDir
	}
	pods := func(ctx context.Context) (phases.PodRemover, error) { return host.DialRuntime(ctx, c.CRISocket) }
	return &resetData{
		Reset: phases.Reset{Node: node, Config: &c, Host: env.Host, Pods: pods}, env: env,
		ignore: append(append([]string{}, c.IgnorePreflightErrors...), f.ignore...),
	}, nil
}

// clusterCertificates is where the cluster's configuration says that certificates are. A cluster that does not answer says nothing:
// otherwise stands.
func clusterCertificates(ctx context.Context, env Env, kubeconfig, otherwise string) string {
	path := kubeconfig
	if path == "" { // not that of $KUBECONFIG: it may be another cluster's
		path = phases.KubernetesDir + "/" + phases.AdminConf
		if !env.Host.Exists(path) {
			return otherwise
		}
	}
	fmt.Fprintf(env.Out, "[reset] Reading configuration from the %q ConfigMap in namespace %q...\n", cluster.ConfigName, "kube-system")
	client, err := cluster.Client(path)
	var stored *config.ClusterConfiguration
	if err == nil {
		stored, err = cluster.StoredCluster(ctx, client)
	}
	if err != nil {
		fmt.Fprintf(env.Out, "[reset] Unable to fetch the %s ConfigMap from cluster: %v\n", cluster.ConfigName, err)
		return otherwise
	}
	return stored.CertificatesDir
}

// resetPhases is `kubeadm reset`, step by step.
func resetPhases() workflow.Workflow[*resetData] {
	return workflow.Workflow[*resetData]{
		{Name: "preflight", Aliases: []string{"pre-flight"}, Short: "Run reset pre-flight checks", Run: func(ctx context.Context, d *resetData) error { return d.preflight(ctx) }},
		{Name: "remove-etcd-member", Short: "Remove a local etcd member.", Run: func(ctx context.Context, d *resetData) error { return d.removeEtcdMember(ctx) }},
		{Name: "cleanup-node", Aliases: []string{"cleanupnode"}, Short: "Run cleanup node.", Run: func(ctx context.Context, d *resetData) error {
			if err := d.Cleanup(ctx); err != nil {
				return fmt.Errorf("some things could not be removed: run `kubeadm reset` again once their cause is gone: %w", err)
			}
			return nil
		}},
	}
}

// preflight asks for consent.
func (d *resetData) preflight(ctx context.Context) error {
	fmt.Fprintln(d.Out, "[preflight] Running pre-flight checks")
	if !d.Config.Force && !d.DryRun {
		fmt.Fprintln(d.Out, "[reset] WARNING: Changes made to this host by 'kubeadm init' or 'kubeadm join' will be reverted.")
		fmt.Fprint(d.Out, "[reset] Are you sure you want to proceed? [y/N]: ")
		line, err := bufio.NewReader(d.env.In).ReadString('\n')
		if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
			return errors.Join(errors.New("aborted reset operation: answer y, or use --force"), err)
		}
	}
	return preflight.Run(ctx, []preflight.Check{preflight.Root(d.env.Host)}, d.ignore, d.Out)
}

// removeEtcdMember takes this node out of an etcd cluster of several. It is best effort: the cluster may be gone already.
func (d *resetData) removeEtcdMember(ctx context.Context) error {
	if !d.env.Host.Exists(d.Manifest(phases.Etcd)) {
		fmt.Fprintln(d.Out, "[reset] No etcd manifest found on this node: no member to remove")
		return nil
	}
	if d.DryRun {
		fmt.Fprintln(d.Out, "[dryrun] Would remove the etcd member of this node, unless it is the last")
		return nil
	}
	if err := d.LeaveEtcd(ctx); err != nil {
		fmt.Fprintf(d.Out, "[reset] Warning: the etcd member of this node was not removed: %v\n", err)
	}
	return nil
}
