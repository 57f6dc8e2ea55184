package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cliflag "k8s.io/component-base/cli/flag"

	"pilotis.dev/cmd/kubelet/node"
	"pilotis.dev/cmd/kubelet/node/machine"
	"pilotis.dev/cmd/kubelet/serve"
)

// serve starts the kubelet's API and health endpoint.
func (d *daemon) serve(ctx context.Context, start func(func(context.Context))) error {
	o, c := d.options, &d.options.Config
	certificate, renew, err := node.ServingCertificate(ctx, node.ServingConfig{
		CertFile: c.TLSCertFile, KeyFile: c.TLSPrivateKeyFile, Request: c.ServerTLSBootstrap, CertDir: o.CertDirectory, NodeName: o.NodeName, Client: d.client,
		Addresses: func() []v1.NodeAddress {
			if n := d.node.Registered(); n != nil {
				return n.Status.Addresses
			}
			return nil
		},
	})
	if err != nil {
		return fmt.Errorf("serving certificate: %w", err)
	}
	auth, err := serve.NewAuth(c, d.client)
	if err != nil {
		return err
	}
	version, err := cliflag.TLSVersion(c.TLSMinVersion)
	if err != nil {
		return fmt.Errorf("tlsMinVersion: %w", err)
	}
	ciphers, err := cliflag.TLSCipherSuites(c.TLSCipherSuites)
	if err != nil {
		return fmt.Errorf("tlsCipherSuites: %w", err)
	}
	var curves []tls.CurveID
	for _, curve := range c.TLSCurvePreferences {
		curves = append(curves, tls.CurveID(curve)) // validated
	}
	port := int(c.Port)
	if !*c.EnableServer {
		port = 0
	}
	listeners, err := serve.New(serve.Config{
		NodeName: o.NodeName, Address: c.Address, Port: port, ReadOnlyPort: int(c.ReadOnlyPort), HealthzAddress: c.HealthzBindAddress, HealthzPort: int(*c.HealthzPort),
		GetCertificate: certificate, MinTLSVersion: version, CipherSuites: ciphers, Curves: curves, Auth: auth,
		StreamIdle: c.StreamingConnectionIdleTimeout.Duration, DiskEvery: c.VolumeStatsAggPeriod.Duration, DebugFlags: *c.EnableDebugFlagsHandler,
		KubeletCgroup: c.KubeletCgroups, RuntimeCgroup: o.RuntimeCgroups,
		Runtime: d.runtime, Images: d.images, Pods: d.kubelet.Pods, Running: d.kubelet.RunningPods, Health: d.health, Machine: machine.Host, RootDir: o.RootDirectory, VolumePath: d.volumes.Path, ProbeMetrics: d.probed,
		KubeletConfig: c, Debugging: *c.EnableDebuggingHandlers, Profiling: *c.EnableProfilingHandler, SystemLogs: *c.EnableSystemLogHandler,
	}).Listen()
	if err != nil {
		return err
	}
	start(renew)
	start(listeners.Serve)
	return nil
}

func (d *daemon) health() error {
	if !d.kubelet.RuntimeHealthy() {
		return errors.New("the container runtime does not answer")
	}
	return nil
}

// RunningPods are those of which the runtime has a sandbox or container.
func (k *Kubelet) RunningPods(ctx context.Context) ([]*v1.Pod, error) {
	known, err := k.Runtime.UIDs(ctx)
	if err != nil {
		return nil, err
	}
	var out []*v1.Pod
	for uid, p := range known {
		o, err := k.Runtime.Pod(ctx, uid)
		if err != nil {
			return nil, err
		}
		pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{UID: uid, Name: p.Name, Namespace: p.Namespace}}
		for _, c := range o.Containers {
			if c.Running() {
				pod.Spec.Containers = append(pod.Spec.Containers, v1.Container{Name: c.Name, Image: c.Image})
			}
		}
		if len(pod.Spec.Containers) > 0 {
			out = append(out, pod)
		}
	}
	return out, nil
}
