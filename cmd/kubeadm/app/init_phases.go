package app

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/client-go/kubernetes"
	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/cmd/kubeadm/phases"
	"pilotis.dev/cmd/kubeadm/workflow"
)

type initPhase = workflow.Phase[*initData]

// initPhases is `kubeadm init`, step by step.
func initPhases() workflow.Workflow[*initData] {
	return workflow.Workflow[*initData]{
		{Name: "preflight", Short: "Run pre-flight checks", Run: func(ctx context.Context, d *initData) error { return d.preflight(ctx) }},
		{Name: "certs", Short: "Certificate generation", Together: true, Phases: certPhases()},
		{Name: "kubeconfig", Short: "Generate all kubeconfig files necessary to establish the control plane and the admin kubeconfig file", Together: true, Phases: kubeconfigPhases()},
		{Name: "etcd", Short: "Generate static Pod manifest file for local etcd", Together: true, Phases: []initPhase{
			{Name: "local", Short: "Generate the static Pod manifest file for a local, single-node local etcd instance", Run: func(ctx context.Context, d *initData) error {
				if d.Cluster.Etcd.External != nil {
					return nil
				}
				return d.ControlPlanePod(ctx, phases.Etcd)
			}},
		}},
		{Name: "control-plane", Short: "Generate all static Pod manifest files necessary to establish the control plane", Together: true, Phases: []initPhase{
			staticPod("apiserver", phases.APIServer), staticPod("controller-manager", phases.ControllerManager), staticPod("scheduler", phases.Scheduler),
		}},
		{Name: "kubelet-start", Short: "Write kubelet settings and (re)start the kubelet", Run: func(ctx context.Context, d *initData) error {
			if err := d.KubeletFiles(ctx, false); err != nil {
				return err
			}
			return d.StartKubelet(ctx)
		}},
		{Name: "wait-control-plane", Short: "Wait for the control plane to start", Run: func(ctx context.Context, d *initData) error {
			if err := d.WaitKubelet(ctx); err != nil {
				return err
			}
			return d.WaitControlPlane(ctx)
		}},
		{Name: "upload-config", Aliases: []string{"uploadconfig"}, Short: "Upload the kubeadm and kubelet configuration to a ConfigMap", Together: true, Phases: []initPhase{
			{Name: "kubeadm", Short: "Upload the kubeadm ClusterConfiguration to a ConfigMap", Run: withClient(func(ctx context.Context, d *initData, c kubernetes.Interface) error { return d.UploadConfig(ctx, c) })},
			{Name: "kubelet", Short: "Upload the kubelet configuration to a ConfigMap", Run: withClient(func(ctx context.Context, d *initData, c kubernetes.Interface) error {
				return d.UploadKubeletConfig(ctx, c)
			})},
		}},
		{Name: "upload-certs", Short: "Upload certificates to kubeadm-certs", Run: func(ctx context.Context, d *initData) error { return d.uploadCerts(ctx) }},
		{Name: "mark-control-plane", Short: "Mark a node as a control-plane", Run: withClient(func(ctx context.Context, d *initData, c kubernetes.Interface) error {
			return d.MarkControlPlane(ctx, c)
		})},
		{Name: "bootstrap-token", Short: "Generates bootstrap tokens used to join a node to a cluster", Run: withClient(func(ctx context.Context, d *initData, c kubernetes.Interface) error {
			if !d.flags.skipTokenPrint {
				for _, token := range d.config.BootstrapTokens {
					fmt.Fprintf(d.Out, "[bootstrap-token] Using token: %s\n", token.Token)
				}
			}
			return d.BootstrapTokens(ctx, c, d.config.BootstrapTokens)
		})},
		{Name: "kubelet-finalize", Short: "Updates settings relevant to the kubelet after TLS bootstrap", Together: true, Phases: []initPhase{
			{Name: "enable-client-cert-rotation", Short: "Enable kubelet client certificate rotation", Run: func(ctx context.Context, d *initData) error { return d.FinalizeKubelet(ctx) }},
		}},
		{Name: "addon", Short: "Install required addons for passing conformance tests", Together: true, Phases: []initPhase{
			addon("podnet", "Install the pod network addon to a Kubernetes cluster", phases.PodNet),
			addon("coredns", "Install the CoreDNS addon to a Kubernetes cluster", phases.CoreDNS),
			addon("kube-proxy", "Install the kube-proxy addon to a Kubernetes cluster", phases.KubeProxy),
		}},
		{Name: "show-join-command", Short: "Show the join command for control-plane and worker node", Run: func(_ context.Context, d *initData) error { return d.showJoin() }},
	}
}

// certPhases has one phase a certificate. All are listed, also those an external etcd makes unneeded, which do nothing then.
func certPhases() []initPhase {
	var out []initPhase
	for _, c := range phases.Certificates(&config.ClusterConfiguration{}) {
		name := certPhaseName(c.Name)
		out = append(out, initPhase{Name: name, Short: "Generate " + c.Long, Run: func(ctx context.Context, d *initData) error {
			for _, wanted := range phases.Certificates(d.Cluster) {
				if wanted.Name == c.Name {
					return d.Certificate(ctx, wanted)
				}
			}
			return nil
		}})
	}
	return append(out, initPhase{Name: "sa", Short: "Generate a private key for signing service account tokens along with its public key", Run: func(ctx context.Context, d *initData) error {
		return d.ServiceAccountKey(ctx)
	}})
}

func kubeconfigPhases() []initPhase {
	var out []initPhase
	for _, id := range phases.Identities("") {
		out = append(out, initPhase{Name: kubeconfigPhaseName(id.File), Short: "Generate the kubeconfig file " + id.File, Run: func(ctx context.Context, d *initData) error {
			for _, wanted := range phases.Identities(d.Registration.Name) {
				if wanted.File == id.File {
					return d.Kubeconfig(ctx, wanted)
				}
			}
			return nil
		}})
	}
	return out
}

func staticPod(name, component string) initPhase {
	return initPhase{Name: name, Short: "Generates the " + component + " static Pod manifest", Run: func(ctx context.Context, d *initData) error {
		return d.ControlPlanePod(ctx, component)
	}}
}

func addon(name, short, file string) initPhase {
	return initPhase{Name: name, Short: short, Run: withClient(func(ctx context.Context, d *initData, c kubernetes.Interface) error {
		if file == phases.CoreDNS && d.Cluster.DNS.Disabled || file == phases.KubeProxy && d.Cluster.Proxy.Disabled {
			fmt.Fprintf(d.Out, "[addons] Skipping the addon %s: it is disabled in the ClusterConfiguration\n", name)
			return nil
		}
		return d.InstallAddon(ctx, c, file)
	})}
}

// certPhaseName is how upstream calls the phase of a certificate: etcd/ca is etcd-ca.
func certPhaseName(name string) string { return strings.ReplaceAll(name, "/", "-") }

// kubeconfigPhaseName is the file's name without its extension.
func kubeconfigPhaseName(file string) string { return strings.TrimSuffix(file, ".conf") }
