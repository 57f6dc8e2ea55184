package app

import (
	"context"
	"errors"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	utilexec "k8s.io/utils/exec"

	"pilotis.dev/cmd/kubelet/node"
)

// reachAPI makes the clients of the API server, with a credential that is renewed while the kubelet runs; without
// --kubeconfig there is none.
func (d *daemon) reachAPI(ctx context.Context) (err error) {
	o, c := d.options, &d.options.Config
	if o.Kubeconfig == "" {
		return nil
	}
	d.access, err = node.Load(ctx, node.Access{
		Kubeconfig: o.Kubeconfig, Bootstrap: o.BootstrapKubeconfig, CertDir: o.CertDirectory, NodeName: o.NodeName, Rotate: c.RotateCertificates,
		Tune: func(rc *rest.Config) {
			rc.QPS, rc.Burst = float32(*c.KubeAPIQPS), int(c.KubeAPIBurst)
			rc.ContentType, rc.AcceptContentTypes = c.ContentType, c.ContentType+",application/json"
			rest.AddUserAgent(rc, "kubelet")
		},
	})
	if err != nil {
		return err
	}
	if d.client, err = kubernetes.NewForConfig(d.access.Config); err != nil {
		return err
	}
	limited := rest.CopyConfig(d.access.Config)
	limited.QPS, limited.Burst = float32(*c.EventRecordQPS), int(c.EventBurst)
	if *c.EventRecordQPS == 0 {
		limited.QPS = -1 // without limit
	}
	d.events, err = kubernetes.NewForConfig(limited)
	return err
}

// asExit finds the exit code of a command that ran.
func asExit(err error, exit *interface{ ExitStatus() int }) bool {
	var coded utilexec.CodeExitError
	if errors.As(err, &coded) {
		*exit = coded
		return true
	}
	return false
}
