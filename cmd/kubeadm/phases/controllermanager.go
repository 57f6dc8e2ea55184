package phases

import (
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"pilotis.dev/cmd/kubeadm/config"
)

// flexVolumeDir is where out-of-tree volume drivers of the FlexVolume kind are installed.
const flexVolumeDir = "/usr/libexec/kubernetes/kubelet-plugins/volume/exec"

func (n *Node) controllerManager() component {
	c := n.Cluster
	kubeconfig := filepath.Join(KubernetesDir, ControllerConf)
	defaults := []config.Arg{
		{Name: "authentication-kubeconfig", Value: kubeconfig},
		{Name: "authorization-kubeconfig", Value: kubeconfig},
		{Name: "bind-address", Value: "127.0.0.1"},
		{Name: "client-ca-file", Value: n.pki("ca.crt")},
		{Name: "cluster-name", Value: c.ClusterName},
		{Name: "cluster-signing-cert-file", Value: n.pki("ca.crt")},
		{Name: "cluster-signing-key-file", Value: n.pki("ca.key")},
		{Name: "controllers", Value: "*,bootstrapsigner,tokencleaner"},
		{Name: "kubeconfig", Value: kubeconfig},
		{Name: "leader-elect", Value: "true"},
		{Name: "requestheader-client-ca-file", Value: n.pki("front-proxy-ca.crt")},
		{Name: "root-ca-file", Value: n.pki("ca.crt")},
		{Name: "service-account-private-key-file", Value: n.pki(serviceAccountKey)},
		{Name: "service-cluster-ip-range", Value: c.Networking.ServiceSubnet},
		{Name: "use-service-account-credentials", Value: "true"},
	}
	if !n.exists(n.Cluster.CertificatesDir+"/ca.key") && n.exists(n.Cluster.CertificatesDir+"/ca.crt") {
		// External CA mode: nothing here can sign, so the signing controllers get no files.
		for i := range defaults {
			if strings.HasPrefix(defaults[i].Name, "cluster-signing-") {
				defaults[i].Value = ""
			}
		}
	}
	if c.Networking.PodSubnet != "" {
		defaults = append(defaults, config.Arg{Name: "allocate-node-cidrs", Value: "true"}, config.Arg{Name: "cluster-cidr", Value: c.Networking.PodSubnet})
	}
	mounts := append(caMounts(n.exists), n.certificatesMount("k8s-certs"), kubeconfigMount(ControllerConf),
		config.HostPathMount{Name: "flexvolume-dir", HostPath: flexVolumeDir, MountPath: flexVolumeDir, PathType: corev1.HostPathDirectoryOrCreate})
	extra := c.ControllerManager.ExtraArgs
	return component{
		name: ControllerManager, image: config.ImagesOf(c).ControllerManager,
		defaults: defaults, extra: extra, envs: c.ControllerManager.ExtraEnvs, cpu: "200m",
		mounts: append(mounts, c.ControllerManager.ExtraVolumes...),
		probe: probe{
			host: probeHost(argOf(extra, "bind-address", "127.0.0.1")), port: portOf(extra, "secure-port", 10257),
			scheme: corev1.URISchemeHTTPS, live: "/healthz", startup: "/healthz",
		},
	}
}
