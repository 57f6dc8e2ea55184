package app

import (
	"context"
	"errors"
	"fmt"
	"os"

	"k8s.io/client-go/kubernetes"
	"pilotis.dev/cmd/kubeadm/cluster"
	"pilotis.dev/cmd/kubeadm/phases"
	"pilotis.dev/cmd/kubeadm/workflow"
)

type joinPhase = workflow.Phase[*joinData]

// joinPhases is `kubeadm join`, step by step. Phases of control plane nodes do nothing on workers.
func joinPhases() workflow.Workflow[*joinData] {
	return workflow.Workflow[*joinData]{
		{Name: "preflight", Short: "Run join pre-flight checks", Run: func(ctx context.Context, d *joinData) error { return d.preflight(ctx) }},
		{Name: "control-plane-prepare", Short: "Prepare the machine for serving a control plane", Together: true, Phases: []joinPhase{
			{Name: "download-certs", Short: "Download certificates shared among control-plane nodes from the kubeadm-certs Secret", Run: onControlPlane(downloadCerts)},
			{Name: "certs", Short: "Generate the certificates for the new control plane components", Run: onControlPlane(joinCerts)},
			{Name: "kubeconfig", Short: "Generate the kubeconfig for the new control plane components", Run: onControlPlane(joinKubeconfigs)},
			{Name: "control-plane", Short: "Generate the manifests for the new control plane components", Run: onControlPlane(func(ctx context.Context, d *joinData) error {
				for _, name := range []string{phases.APIServer, phases.ControllerManager, phases.Scheduler} {
					if err := d.ControlPlanePod(ctx, name); err != nil {
						return err
					}
				}
				return nil
			})},
		}},
		{Name: "kubelet-start", Short: "Write kubelet settings, certificates and (re)start the kubelet", Run: startJoining},
		{Name: "etcd-join", Short: "Join etcd for control plane nodes", Run: onControlPlane(func(ctx context.Context, d *joinData) error {
			if d.Cluster.Etcd.Local == nil {
				return nil
			}
			client, err := d.adminClient()
			if err != nil {
				return err
			}
			return d.JoinEtcd(ctx, client)
		})},
		{Name: "kubelet-wait-bootstrap", Short: "Wait for the kubelet to bootstrap itself", Run: func(ctx context.Context, d *joinData) error {
			if err := d.fetch(ctx); err != nil {
				return err
			}
			if err := d.WaitKubelet(ctx); err != nil {
				return err
			}
			return d.WaitBootstrap(ctx)
		}},
		{Name: "control-plane-join", Short: "Join a machine as a control plane instance", Together: true, Phases: []joinPhase{
			{Name: "mark-control-plane", Short: "Mark a node as a control-plane", Run: onControlPlane(func(ctx context.Context, d *joinData) error {
				client, err := d.adminClient()
				if err != nil {
					return err
				}
				return d.MarkControlPlane(ctx, client)
			})},
		}},
		{Name: "wait-control-plane", Short: "Wait for the control plane to start", Run: onControlPlane(func(ctx context.Context, d *joinData) error {
			if err := d.WaitControlPlane(ctx); err != nil {
				return err
			}
			return d.UseLocalServer(ctx)
		})},
	}
}

// onControlPlane runs a step only on joining control plane nodes, with the cluster's configuration at hand.
func onControlPlane(step func(context.Context, *joinData) error) func(context.Context, *joinData) error {
	return func(ctx context.Context, d *joinData) error {
		if d.config.ControlPlane == nil {
			return nil
		}
		if err := d.fetch(ctx); err != nil {
			return err
		}
		return step(ctx, d)
	}
}

func downloadCerts(ctx context.Context, d *joinData) error {
	key := d.config.ControlPlane.CertificateKey
	if key == "" {
		fmt.Fprintln(d.Out, "[download-certs] Skipping certs download")
		return nil
	}
	client, err := d.bootstrapClient(ctx)
	if err != nil {
		return err
	}
	return d.DownloadCerts(ctx, client, key)
}

func joinCerts(ctx context.Context, d *joinData) error {
	fmt.Fprintf(d.Out, "[certs] Using certificateDir folder %q\n", d.Cluster.CertificatesDir)
	for _, c := range phases.Certificates(d.Cluster) {
		if c.CA == "" {
			if _, err := os.Stat(d.PKI() + "/" + c.Name + ".crt"); err != nil {
				return fmt.Errorf("the shared authority %q is not on this node: a joining node never makes its own: %w", c.Name, err)
			}
		}
		if err := d.Certificate(ctx, c); err != nil {
			return err
		}
	}
	return d.ServiceAccountKey(ctx)
}

// joinKubeconfigs writes those of the components and the administrator; the kubelet gets its own by TLS bootstrap.
func joinKubeconfigs(ctx context.Context, d *joinData) error {
	for _, id := range phases.Identities(d.Registration.Name) {
		if id.File == phases.KubeletConf || id.File == phases.SuperAdminConf {
			continue
		}
		if err := d.Kubeconfig(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func startJoining(ctx context.Context, d *joinData) error {
	bootstrap, err := d.discover(ctx)
	if err != nil {
		return err
	}
	if err := d.fetch(ctx); err != nil {
		return err
	}
	client, err := d.bootstrapClient(ctx)
	if err != nil {
		return err
	}
	err = cluster.Retry(ctx, d.Timeouts.KubernetesAPICall.Duration, func(ctx context.Context) error { return d.CheckNodeName(ctx, client) })
	if err != nil {
		return err
	}
	if err := d.WriteBootstrap(ctx, bootstrap, d.config.CACertPath); err != nil {
		return err
	}
	if err := d.KubeletFiles(ctx, d.config.ControlPlane == nil); err != nil {
		return err
	}
	return d.StartKubelet(ctx)
}

// adminClient talks to the cluster as its administrator; only control plane nodes can.
func (d *joinData) adminClient() (kubernetes.Interface, error) {
	if d.DryRun {
		return cluster.DryRun(d.Out, d.Registration.Name)
	}
	if d.config.ControlPlane == nil {
		return nil, errors.New("a worker has no administrator's kubeconfig")
	}
	return cluster.Client(d.Conf(phases.AdminConf))
}
