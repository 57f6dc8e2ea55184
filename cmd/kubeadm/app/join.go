package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"pilotis.dev/cmd/kubeadm/cluster"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/cmd/kubeadm/discovery"
	"pilotis.dev/cmd/kubeadm/phases"
	"pilotis.dev/cmd/kubeadm/preflight"
	"pilotis.dev/pkg/certs"
)

// joinFlags are the flags of join and of its phases.
type joinFlags struct {
	commonFlags
	token, discoveryToken, tlsToken, file string
	pins                                  []string
	unsafe, controlPlane                  bool
}

func (f *joinFlags) add(flags *pflag.FlagSet) {
	f.commonFlags.add(flags)
	flags.StringVar(&f.token, "token", "", "Use this token for both discovery-token and tls-bootstrap-token when those values are not provided.")
	flags.StringVar(&f.discoveryToken, "discovery-token", "", "For token-based discovery, the token used to validate cluster information fetched from the API server.")
	flags.StringVar(&f.tlsToken, "tls-bootstrap-token", "", "Specify the token used to temporarily authenticate with the Kubernetes Control Plane while joining the node.")
	flags.StringVar(&f.file, "discovery-file", "", "For file-based discovery, a file or URL from which to load cluster information.")
	flags.StringSliceVar(&f.pins, "discovery-token-ca-cert-hash", nil, "For token-based discovery, validate that the root CA public key matches this hash (format: \"<type>:<value>\").")
	flags.BoolVar(&f.unsafe, "discovery-token-unsafe-skip-ca-verification", false, "For token-based discovery, allow joining without --discovery-token-ca-cert-hash pinning.")
	flags.BoolVar(&f.controlPlane, "control-plane", false, "Create a new control plane instance on this node")
}

// joinData is what the phases of join work on. The cluster's configuration is fetched when it is first needed.
type joinData struct {
	*phases.Node
	env       Env
	config    *config.JoinConfiguration
	machine   config.Machine
	ignore    []string
	bootstrap *clientcmdapi.Config // how the node reaches the cluster before it has a certificate
	fetched   bool
}

func newJoin(env Env) *cobra.Command {
	list := joinPhases()
	flags := &joinFlags{}
	load := func(cmd *cobra.Command, args []string) (*joinData, error) {
		return loadJoin(env, flags, cmd.Flags(), args)
	}
	cmd := &cobra.Command{
		Use:   "join [api-server-endpoint]",
		Short: "Run this on any machine you wish to join an existing cluster",
		Long:  "Run this on any machine you wish to join an existing cluster\n\n" + list.Usage("join [api-server-endpoint]"),
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := load(cmd, args)
			if err != nil {
				return err
			}
			if data.DryRun {
				scratch, err := os.MkdirTemp("", "kubeadm-join-dryrun")
				if err != nil {
					return err
				}
				defer os.RemoveAll(scratch)
				data.Root = scratch
				if err := copyExisting(config.DefaultCertificatesDir, filepath.Join(scratch, config.DefaultCertificatesDir)); err != nil {
					return err
				}
			}
			if err := list.Run(cmd.Context(), data, data.config.SkipPhases); err != nil {
				return err
			}
			data.farewell()
			return nil
		},
	}
	flags.add(cmd.Flags())
	cmd.AddCommand(list.Command("join", func(c *cobra.Command) { c.Flags().AddFlagSet(cmd.Flags()) }, load))
	return cmd
}

func loadJoin(env Env, f *joinFlags, flags *pflag.FlagSet, args []string) (*joinData, error) {
	if err := noMixing(flags, "dry-run", "ignore-preflight-errors", "node-name", "cri-socket", "skip-phases", "patches"); err != nil {
		return nil, err
	}
	machine, err := env.machine()
	if err != nil {
		return nil, err
	}
	c, err := f.document(args)
	if err != nil {
		return nil, invalid{err}
	}
	merge(flags, "node-name", strings.ToLower(strings.TrimSpace(f.nodeName)), &c.NodeRegistration.Name)
	merge(flags, "cri-socket", f.criSocket, &c.NodeRegistration.CRISocket)
	merge(flags, "dry-run", f.dryRun, &c.DryRun)
	merge(flags, "skip-phases", f.skip, &c.SkipPhases)
	if f.patches != "" {
		c.Patches = &config.Patches{Directory: f.patches}
	}
	if err := config.DefaultJoin(c, machine); err != nil {
		return nil, invalid{err}
	}
	if err := config.Faults(config.KindJoin, config.ValidateJoin(c)); err != nil {
		return nil, invalid{err}
	}
	node := &phases.Node{Registration: &c.NodeRegistration, Timeouts: c.Timeouts, DryRun: c.DryRun}
	if c.Patches != nil {
		node.PatchesDir = c.Patches.Directory
	}
	if c.ControlPlane != nil {
		node.Endpoint = c.ControlPlane.LocalAPIEndpoint
	}
	env.equip(node, machine)
	return &joinData{
		Node: node, env: env, config: c, machine: machine,
		ignore: append(append([]string{}, c.NodeRegistration.IgnorePreflightErrors...), f.ignore...),
	}, nil
}

// document reads the file, or makes the same document out of flags and the argument.
func (f *joinFlags) document(args []string) (*config.JoinConfiguration, error) {
	if f.config != "" {
		docs, err := config.ReadFile(f.config)
		if err != nil {
			return nil, err
		}
		if docs.Join == nil {
			return nil, fmt.Errorf("--config %s: no %s found", f.config, config.KindJoin)
		}
		if len(args) > 0 {
			return nil, fmt.Errorf("can not mix '--config' with the argument %q: set discovery.bootstrapToken.apiServerEndpoint in the file", args[0])
		}
		return docs.Join, nil
	}
	c := &config.JoinConfiguration{}
	c.Discovery.TLSBootstrapToken = f.tlsToken
	if c.Discovery.TLSBootstrapToken == "" {
		c.Discovery.TLSBootstrapToken = f.token
	}
	if f.file != "" {
		c.Discovery.File = &config.FileDiscovery{KubeConfigPath: f.file}
	}
	token := f.discoveryToken
	if token == "" && f.file == "" {
		token = f.token
	}
	if token != "" || len(args) > 0 && f.file == "" {
		c.Discovery.BootstrapToken = &config.TokenDiscovery{Token: token, CACertHashes: f.pins, UnsafeSkipCAVerification: f.unsafe}
		if len(args) > 0 {
			c.Discovery.BootstrapToken.APIServerEndpoint = args[0]
		}
	}
	if f.controlPlane {
		c.ControlPlane = &config.JoinControlPlane{LocalAPIEndpoint: config.APIEndpoint{AdvertiseAddress: f.advertise, BindPort: f.bindPort}, CertificateKey: f.certificateKey}
	} else if f.certificateKey != "" {
		return nil, errors.New("--certificate-key is of use only with --control-plane")
	}
	return c, nil
}

// discover finds the cluster and returns a kubeconfig with the bootstrap credentials.
func (d *joinData) discover(ctx context.Context) (*clientcmdapi.Config, error) {
	if d.bootstrap != nil {
		return d.bootstrap, nil
	}
	found := &clientcmdapi.Cluster{}
	var user *clientcmdapi.AuthInfo
	var err error
	timeout := d.Timeouts.Discovery.Duration
	if f := d.config.Discovery.File; f != nil {
		found, user, err = discovery.ByFile(ctx, f.KubeConfigPath, timeout)
	} else {
		found, err = discovery.ByToken(ctx, d.config.Discovery.BootstrapToken, timeout, d.Out)
	}
	if err != nil {
		return nil, err
	}
	access := certs.Access{Cluster: config.DefaultClusterName, Server: found.Server, CA: found.CertificateAuthorityData, User: "tls-bootstrap-token-user"}
	cfg := access.WithToken(d.config.Discovery.TLSBootstrapToken)
	if d.config.Discovery.TLSBootstrapToken == "" {
		if user == nil {
			return nil, invalid{errors.New("discovery.tlsBootstrapToken: Required value: the discovery file carries no credentials, so a token is needed (--tls-bootstrap-token)")}
		}
		cfg.AuthInfos[access.User] = user
	}
	d.bootstrap = cfg
	return cfg, nil
}

// bootstrapClient talks to the cluster with the bootstrap credentials.
func (d *joinData) bootstrapClient(ctx context.Context) (kubernetes.Interface, error) {
	cfg, err := d.discover(ctx)
	if err != nil {
		return nil, err
	}
	return cluster.ClientFor(cfg)
}

// fetch reads the cluster's configuration, once.
func (d *joinData) fetch(ctx context.Context) error {
	if d.fetched {
		return nil
	}
	client, err := d.bootstrapClient(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.Out, "[preflight] Reading configuration from the %q ConfigMap in namespace %q...\n", cluster.ConfigName, "kube-system")
	var docs *config.Documents
	err = cluster.Retry(ctx, d.Timeouts.KubernetesAPICall.Duration, func(ctx context.Context) error {
		docs, err = cluster.Stored(ctx, client, false)
		return err
	})
	if err != nil {
		return err
	}
	complete, err := completeCluster(docs, d.machine, func() error { return nil })
	if err != nil {
		return err
	}
	d.Cluster, d.KubeletCfg, d.ProxyCfg = complete.Cluster, complete.KubeletCfg, complete.ProxyCfg
	d.fetched = true
	return nil
}

// preflight checks the machine, finds the cluster, and checks what depends on it.
func (d *joinData) preflight(ctx context.Context) error {
	fmt.Fprintln(d.Out, "[preflight] Running pre-flight checks")
	facts := d.env.Host
	if err := preflight.Run(ctx, []preflight.Check{preflight.Root(facts)}, d.ignore, d.Out); err != nil {
		return err
	}
	dial := dialer(d.Registration.CRISocket)
	kubernetes := phases.KubernetesDir
	checks := []preflight.Check{
		preflight.FileAbsent(facts, filepath.Join(kubernetes, phases.KubeletConf)),
		preflight.FileAbsent(facts, filepath.Join(kubernetes, phases.BootstrapConf)),
		preflight.RuntimeUp(dial),
	}
	checks = append(checks, machineChecks(facts, d.Node)...)
	if d.config.ControlPlane == nil {
		checks = append(checks, preflight.FolderEmpty(facts, phases.ManifestsDir), preflight.FileAbsent(facts, d.config.CACertPath))
	}
	if t := d.config.Discovery.BootstrapToken; t != nil {
		host, _, _ := config.SplitEndpoint(t.APIServerEndpoint)
		checks = append(checks, preflight.Proxy(facts, "https", host))
	}
	// Kernel and cgroups are judged by the kubelet configuration of the cluster, so the rest waits until that is known.
	if err := preflight.Run(ctx, checks, d.ignore, d.Out); err != nil {
		return err
	}
	if err := d.fetch(ctx); err != nil {
		return err
	}
	checks = clusterChecks(facts, d.Node)
	if d.config.ControlPlane != nil {
		checks = append(checks, controlPlaneChecks(facts, d.Node)...)
		if err := d.mayBeControlPlane(); err != nil {
			return err
		}
		if !d.DryRun {
			checks = append(checks, preflight.Images(dial, config.ImagesOf(d.Cluster).List(), pullPolicy(d.Registration)))
		}
	}
	return preflight.Run(ctx, checks, d.ignore, d.Out)
}

// mayBeControlPlane checks what a further control plane node needs of the cluster and of this machine.
func (d *joinData) mayBeControlPlane() error {
	if d.Cluster.ControlPlaneEndpoint == "" {
		return errors.New("one or more conditions for hosting a new control plane instance is not satisfied: unable to add a new control plane instance to a cluster that doesn't have a stable controlPlaneEndpoint address: set it when the cluster is made (--control-plane-endpoint)")
	}
	if d.config.ControlPlane.CertificateKey != "" {
		return nil
	}
	for _, name := range []string{phases.ClusterCA, phases.FrontProxyCA} {
		if _, err := certs.ReadPair(d.PKI(), name); err != nil {
			return fmt.Errorf("failure loading certificate %q: %w: copy the shared certificates to this node, or have them downloaded with --certificate-key", name, err)
		}
	}
	return nil
}

// farewell says what happened.
func (d *joinData) farewell() {
	if d.DryRun {
		fmt.Fprintln(d.Out, "[dryrun] Finished; nothing was changed")
		return
	}
	if d.config.ControlPlane != nil {
		fmt.Fprintf(d.Out, `
This node has joined the cluster and a new control plane instance was created:

* Certificate signing request was sent to apiserver and approval was received.
* The Kubelet was informed of the new secure connection details.
* Control plane label and taint were applied to the new node.
* The Kubernetes control plane instances scaled up.

Run 'kubectl get nodes' to see this node join the cluster.
`)
		return
	}
	fmt.Fprint(d.Out, `
This node has joined the cluster:
* Certificate signing request was sent to apiserver and a response was received.
* The Kubelet was informed of the new secure connection details.

Run 'kubectl get nodes' on the control-plane to see this node join the cluster.
`)
}
