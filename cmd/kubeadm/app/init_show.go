package app

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pilotis.dev/cmd/kubeadm/config"
	"pilotis.dev/cmd/kubeadm/phases"
	"pilotis.dev/cmd/kubeadm/workflow"
	"pilotis.dev/pkg/certs"
)

// uploadCerts shares the certificates when it was asked to.
func (d *initData) uploadCerts(ctx context.Context) error {
	if !d.flags.uploadCerts {
		fmt.Fprintf(d.Out, "[upload-certs] Skipping phase. Please see --upload-certs\n")
		return nil
	}
	if d.config.CertificateKey == "" {
		key, err := phases.NewCertificateKey()
		if err != nil {
			return err
		}
		d.config.CertificateKey = key
	}
	client, err := d.connect(ctx)
	if err != nil {
		return err
	}
	if err := d.UploadCerts(ctx, client, d.config.CertificateKey); err != nil {
		return err
	}
	if !d.flags.skipKeyPrint {
		fmt.Fprintf(d.Out, "[upload-certs] Using certificate key:\n%s\n", d.config.CertificateKey)
	}
	return nil
}

// JoinCommand is the line that adds a node to a cluster.
type JoinCommand struct {
	Endpoint       string
	Token          string
	Pins           []string
	ControlPlane   bool
	CertificateKey string
}

// String renders the command; it ends without a line break.
func (j JoinCommand) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "kubeadm join %s --token %s ", j.Endpoint, j.Token)
	for _, pin := range j.Pins {
		fmt.Fprintf(&out, "\\\n\t--discovery-token-ca-cert-hash %s ", pin)
	}
	if j.ControlPlane {
		out.WriteString("\\\n\t--control-plane ")
		if j.CertificateKey != "" {
			fmt.Fprintf(&out, "--certificate-key %s ", j.CertificateKey)
		}
	}
	return strings.TrimRight(out.String(), " ")
}

// Line renders the command on one line, for scripts.
func (j JoinCommand) Line() string { return strings.ReplaceAll(j.String(), "\\\n\t", "") }

// showJoin prints what to do next.
func (d *initData) showJoin() error {
	endpoint, err := config.Endpoint(d.Cluster, d.Endpoint)
	if err != nil {
		return err
	}
	ca, err := certs.ReadCert(certs.CertPath(d.PKI(), phases.ClusterCA))
	if err != nil {
		return err
	}
	join := JoinCommand{Endpoint: endpoint, Token: d.config.BootstrapTokens[0].Token, Pins: []string{certs.Pin(ca)}}
	if d.flags.skipTokenPrint {
		join.Token = "<value withheld>"
	}
	admin := filepath.Join(phases.KubernetesDir, phases.AdminConf)
	fmt.Fprintf(d.Out, `
Your Kubernetes control-plane has initialized successfully!

To start using your cluster, you need to run the following as a regular user:

  mkdir -p $HOME/.kube
  sudo cp -i %[1]s $HOME/.kube/config
  sudo chown $(id -u):$(id -g) $HOME/.kube/config

Alternatively, if you are the root user, you can run:

  export KUBECONFIG=%[1]s

`, admin)
	if slices.Contains(d.skip, "addon") || slices.Contains(d.skip, "addon/podnet") {
		fmt.Fprint(d.Out, "You should now deploy a pod network to the cluster.\nRun \"kubectl apply -f [podnetwork].yaml\" with one of the options listed at:\n  https://kubernetes.io/docs/concepts/cluster-administration/addons/\n\n")
	}
	if d.Cluster.ControlPlaneEndpoint != "" {
		if d.flags.uploadCerts {
			more := join
			more.ControlPlane, more.CertificateKey = true, d.config.CertificateKey
			if d.flags.skipKeyPrint {
				more.CertificateKey = "<value withheld>"
			}
			fmt.Fprintf(d.Out, "You can now join any number of control-plane nodes running the following command on each as root:\n\n%s\n\nPlease note that the certificate-key gives access to cluster sensitive data, keep it secret!\nAs a safeguard, uploaded-certs will be deleted in two hours; If necessary, you can use\n\"kubeadm init phase upload-certs --upload-certs\" to reload certs afterward.\n\n", more)
		} else {
			more := join
			more.ControlPlane = true
			fmt.Fprintf(d.Out, "You can now join any number of control-plane nodes by copying certificate authorities\nand service account keys on each node and then running the following as root:\n\n%s\n\n", more)
		}
	}
	fmt.Fprintf(d.Out, "Then you can join any number of worker nodes by running the following on each as root:\n\n%s\n", join)
	return nil
}

// rehearse runs init against a scratch folder and no server, and shows what it would write.
func (d *initData) rehearse(ctx context.Context, list workflow.Workflow[*initData]) error {
	scratch, err := os.MkdirTemp("", "kubeadm-init-dryrun")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if err := copyExisting(d.Cluster.CertificatesDir, filepath.Join(scratch, d.Cluster.CertificatesDir)); err != nil {
		return err
	}
	d.Root = scratch
	fmt.Fprintf(d.Out, "[dryrun] Using Kubernetes version: %s\n", d.Cluster.KubernetesVersion)
	if err := list.Run(ctx, d, d.skip); err != nil {
		return err
	}
	return d.showFiles(scratch)
}

// copyExisting lets a dry run see the certificates an administrator has put in place.
func copyExisting(from, to string) error {
	if _, err := os.Stat(from); err != nil {
		return nil
	}
	return os.CopyFS(to, os.DirFS(from))
}

// showFiles prints what a dry run wrote, but for keys and kubeconfigs, of which only the names are shown.
func (d *initData) showFiles(scratch string) error {
	return filepath.WalkDir(scratch, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name := strings.TrimPrefix(path, scratch)
		if strings.HasPrefix(name, d.Cluster.CertificatesDir) || filepath.Ext(name) == ".conf" {
			fmt.Fprintf(d.Out, "[dryrun] Would write file %q\n", name)
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(d.Out, "[dryrun] Would write file %q with content:\n", name)
		for line := range strings.Lines(string(data)) {
			fmt.Fprintf(d.Out, "\t%s", line)
		}
		return nil
	})
}
