package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"pilotis.dev/cmd/kubeadm/cluster"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/cmd/kubeadm/phases"
	"pilotis.dev/cmd/kubeadm/preflight"
)

func newUpgrade(env Env) *cobra.Command {
	cmd := &cobra.Command{Use: "upgrade", Short: "Upgrade your cluster smoothly to a newer version with this command", Args: cobra.NoArgs, RunE: showHelp}
	cmd.AddCommand(newUpgradePlan(env), newUpgradeApply(env), newUpgradeNode(env), newUpgradeDiff(env))
	return cmd
}

// upgradeFlags are shared by the upgrade commands.
type upgradeFlags struct {
	file, kubeconfig, patches string
	ignore, skip              []string
	dryRun, printConfig       bool
	experimental, candidates  bool
	renew, etcd, force, yes   bool
}

func (f *upgradeFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.file, "config", "", "Path to a kubeadm configuration file.")
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "The kubeconfig file to use when talking to the cluster. If the flag is not set, /etc/kubernetes/admin.conf is used.")
	flags.StringSliceVar(&f.ignore, "ignore-preflight-errors", nil, "A list of checks whose errors will be shown as warnings. Value 'all' ignores errors from all checks.")
	flags.BoolVar(&f.dryRun, "dry-run", false, "Do not change any state, just output what actions would be performed.")
}

func (f *upgradeFlags) addPolicy(flags *pflag.FlagSet) {
	flags.BoolVar(&f.experimental, "allow-experimental-upgrades", false, "Show unstable versions of Kubernetes as an upgrade alternative and allow upgrading to an alpha/beta/release candidate versions of Kubernetes.")
	flags.BoolVar(&f.candidates, "allow-release-candidate-upgrades", false, "Show release candidate versions of Kubernetes as an upgrade alternative and allow upgrading to a release candidate versions of Kubernetes.")
	flags.BoolVar(&f.printConfig, "print-config", false, "Specifies whether the configuration file that will be used in the upgrade should be printed or not.")
}

func (f *upgradeFlags) addChange(flags *pflag.FlagSet) {
	flags.BoolVar(&f.renew, "certificate-renewal", true, "Perform the renewal of certificates used by component changed during upgrades.")
	flags.BoolVar(&f.etcd, "etcd-upgrade", true, "Perform the upgrade of etcd.")
	flags.StringVar(&f.patches, "patches", "", "Path to a directory that contains files named \"target[suffix][+patchtype].extension\".")
	flags.StringSliceVar(&f.skip, "skip-phases", nil, "List of phases to be skipped")
}

// upgradeData is what the upgrade commands work on.
type upgradeData struct {
	*phases.Node
	env    Env
	config *config.UpgradeConfiguration
	ignore []string
	client kubernetes.Interface
	force  bool
	yes    bool
	// images says how the images of the target version come to this node before anything is changed.
	images *config.NodeRegistration
	// current is the version the cluster's configuration names; target the one it shall get.
	current, target string
}

// load reads the cluster's configuration and what is installed on this machine. pick chooses the target version from the file.
func (f *upgradeFlags) load(ctx context.Context, env Env, cmd *cobra.Command, args []string, pick func(*config.UpgradeConfiguration) string) (*upgradeData, error) {
	if err := noMixing(cmd.Flags(), "dry-run", "ignore-preflight-errors", "yes", "force", "patches", "skip-phases", "certificate-renewal", "etcd-upgrade",
		"allow-experimental-upgrades", "allow-release-candidate-upgrades", "print-config", "context-lines"); err != nil {
		return nil, err
	}
	c := &config.UpgradeConfiguration{}
	if f.file != "" {
		docs, err := config.ReadFile(f.file)
		if err != nil {
			return nil, invalid{err}
		}
		if docs.Upgrade == nil {
			return nil, invalid{fmt.Errorf("--config %s: no %s found", f.file, config.KindUpgrade)}
		}
		c = docs.Upgrade
	}
	config.DefaultUpgrade(c)
	if err := config.Faults(config.KindUpgrade, config.ValidateUpgrade(c)); err != nil {
		return nil, invalid{err}
	}
	machine, err := env.machine()
	if err != nil {
		return nil, err
	}
	client, err := cluster.Client(f.kubeconfigPath(env))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(env.Out, "[upgrade] Reading configuration from the %q ConfigMap in namespace %q...\n", cluster.ConfigName, "kube-system")
	var docs *config.Documents
	err = cluster.Retry(ctx, c.Timeouts.KubernetesAPICall.Duration, func(ctx context.Context) error {
		docs, err = cluster.Stored(ctx, client, true)
		return err
	})
	if err != nil {
		return nil, err
	}
	node, err := completeCluster(docs, machine, func() error { return nil })
	if err != nil {
		return nil, err
	}
	node.Registration = &config.NodeRegistration{}
	node.Timeouts, node.DryRun, node.PatchesDir = c.Timeouts, f.dryRun, f.patches
	env.equip(node, machine)
	if err := node.ReadInstalled(); err != nil {
		return nil, err
	}
	data := &upgradeData{Node: node, env: env, config: c, client: client, ignore: f.ignore, force: f.force, yes: f.yes, current: node.Cluster.KubernetesVersion}
	data.useImages(corev1.PullIfNotPresent, nil)
	text := pick(c)
	if len(args) > 0 {
		text = args[0]
	}
	if data.target, err = config.ResolveVersion(text); err != nil {
		return nil, invalid{err}
	}
	return data, nil
}

// printConfig shows the configuration that the upgrade goes by.
func (d *upgradeData) printConfig() error {
	text, err := config.Encode(d.Cluster)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(d.Out, "[upgrade/config] %s\n", text)
	return err
}

// kubeconfigPath is the administrator's on control plane nodes and the kubelet's on workers.
func (f *upgradeFlags) kubeconfigPath(env Env) string {
	if path := adminPath(f.kubeconfig); f.kubeconfig != "" || env.Host.Exists(path) {
		return path
	}
	return phases.KubernetesDir + "/" + phases.KubeletConf
}

// checkPolicy refuses an upgrade that the skew policy forbids; force turns refusals into warnings.
func (d *upgradeData) checkPolicy(experimental, candidates bool) error {
	fatal, warnings := versionPolicy(d.current, d.target, config.Release(), experimental, candidates)
	for _, w := range warnings {
		fmt.Fprintf(d.Out, "[upgrade/version] Warning: %v\n", w)
	}
	if len(fatal) == 0 {
		return nil
	}
	if d.force {
		for _, f := range fatal {
			fmt.Fprintf(d.Out, "[upgrade/version] Ignored because of --force: %v\n", f)
		}
		return nil
	}
	return invalid{fmt.Errorf("the --version argument is invalid: %w (use --force to go on nevertheless)", errors.Join(fatal...))}
}

// preflight checks that the cluster can be upgraded at all.
func (d *upgradeData) preflight(ctx context.Context) error {
	fmt.Fprintln(d.Out, "[upgrade/preflight] Running pre-flight checks")
	if err := preflight.Run(ctx, append([]preflight.Check{preflight.Root(d.env.Host)}, d.clusterChecks()...), d.ignore, d.Out); err != nil {
		return err
	}
	return d.pullImages(ctx)
}

// useImages takes the policy by which images are pulled, now and by the static pods.
func (d *upgradeData) useImages(policy corev1.PullPolicy, serial *bool) {
	d.images = &config.NodeRegistration{ImagePullPolicy: policy, ImagePullSerial: serial}
	d.Registration.ImagePullPolicy = policy
}

// pullImages brings the images of the target version to this node, so that its components are not away for as long as that takes.
func (d *upgradeData) pullImages(ctx context.Context) error {
	next := d.Cluster.DeepCopy()
	next.KubernetesVersion = d.target
	images := config.ImagesOf(next).List()
	if d.DryRun {
		fmt.Fprintf(d.Out, "[dryrun] Would pull the images of version %s: %s\n", d.target, strings.Join(images, ", "))
		return nil
	}
	fmt.Fprintln(d.Out, "[upgrade/preflight] Pulling images required for setting up a Kubernetes cluster")
	dial := dialer(d.Registration.CRISocket)
	return preflight.Run(ctx, []preflight.Check{preflight.RuntimeUp(dial), preflight.Images(dial, images, pullPolicy(d.images))}, d.ignore, d.Out)
}

func (d *upgradeData) confirm(what string) error {
	if d.yes || d.DryRun {
		return nil
	}
	fmt.Fprintf(d.Out, "[upgrade] %s [y/N]: ", what)
	line, err := bufio.NewReader(d.env.In).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return errors.Join(errors.New("won't proceed; the user didn't answer (Y|y) in order to continue (or use --yes)"), err)
	}
	return nil
}
