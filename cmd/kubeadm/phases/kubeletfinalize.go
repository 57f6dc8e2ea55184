package phases

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"pilotis.dev/pkg/certs"
)

// rotatedPair is where a kubelet keeps its newest client certificate and key.
const rotatedPair = KubeletDir + "/pki/kubelet-client-current.pem"

// FinalizeKubelet makes kubelet.conf refer to the client certificate the kubelet rotates by itself, so that an expired one embedded
// in the file can never lock it out. A running kubelet holds the same pair already and need not be restarted.
func (n *Node) FinalizeKubelet(context.Context) error {
	if n.KubeletCfg != nil && !n.KubeletCfg.RotateCertificates {
		return nil
	}
	if n.DryRun {
		n.say("dryrun", "Would point %s to %s", KubeletConf, rotatedPair)
		return nil
	}
	if _, err := os.Stat(n.At(rotatedPair)); err != nil {
		n.say("kubelet-finalize", "The kubelet has written no %s yet: %s keeps its embedded certificate", rotatedPair, KubeletConf)
		return nil
	}
	path := n.Conf(KubeletConf)
	cfg, err := certs.ReadKubeconfig(path)
	if err != nil {
		return err
	}
	_, user, err := certs.Current(cfg)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if user != nil && user.ClientCertificate == rotatedPair {
		return nil
	}
	n.say("kubelet-finalize", "Updating %q to point to a rotatable kubelet client certificate and key", filepath.Join(KubernetesDir, KubeletConf))
	current := cfg.Contexts[cfg.CurrentContext]
	cfg.AuthInfos[current.AuthInfo] = &clientcmdapi.AuthInfo{ClientCertificate: rotatedPair, ClientKey: rotatedPair}
	return certs.WriteKubeconfig(path, cfg)
}
