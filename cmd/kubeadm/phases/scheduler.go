package phases

import (
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"pilotis.dev/cmd/kubeadm/config"
)

func (n *Node) scheduler() component {
	c := n.Cluster
	kubeconfig := filepath.Join(KubernetesDir, SchedulerConf)
	extra := c.Scheduler.ExtraArgs
	return component{
		name: Scheduler, image: config.ImagesOf(c).Scheduler,
		defaults: []config.Arg{
			{Name: "authentication-kubeconfig", Value: kubeconfig},
			{Name: "authorization-kubeconfig", Value: kubeconfig},
			{Name: "bind-address", Value: "127.0.0.1"},
			{Name: "kubeconfig", Value: kubeconfig},
			{Name: "leader-elect", Value: "true"},
		},
		extra: extra, envs: c.Scheduler.ExtraEnvs, cpu: "100m",
		mounts: append([]config.HostPathMount{kubeconfigMount(SchedulerConf)}, c.Scheduler.ExtraVolumes...),
		probe: probe{
			host: probeHost(argOf(extra, "bind-address", "127.0.0.1")), port: portOf(extra, "secure-port", 10259),
			scheme: corev1.URISchemeHTTPS, live: "/livez", ready: "/readyz", startup: "/livez",
		},
	}
}
