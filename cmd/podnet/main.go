// Command podnet gives the pods of a node their network: it installs the standard CNI plugins and their
// configuration, keeps a route to every other node's pods, and lets pods reach what lies outside the cluster.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	cliflag "k8s.io/component-base/cli/flag"
	componentbaseconfig "k8s.io/component-base/config"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/podnet/apply"
	"pilotis.dev/cmd/podnet/desired"
	"pilotis.dev/pkg/daemon"
)

// resync is the safety net behind the watch: routes that somebody else removed come back within it.
const resync = 5 * time.Minute

func main() { os.Exit(run()) }

func run() int {
	o := newOptions()
	flags := o.flags()
	return daemon.Main(daemon.Command(daemon.Daemon{
		Name:     "podnet",
		Short:    "Connects the pods of a node with those of the other nodes.",
		Long:     "podnet runs on every node. It installs the standard CNI plugins, writes their configuration for the node's\npod CIDR, keeps host routes to the pod CIDRs of the other nodes (all nodes share a link), and masquerades what\npods send outside the cluster.",
		Flags:    flags,
		Complete: o.validate,
		Run:      func(ctx context.Context) error { return o.run(ctx, flags) },
	}))
}

type options struct {
	client      componentbaseconfig.ClientConnectionConfiguration
	serving     *daemon.ServingOptions
	nodeName    string
	clusterCIDR []string
	paths       apply.Paths
	pluginDir   string
	masquerade  bool
}

func newOptions() *options {
	o := &options{
		nodeName:   os.Getenv("NODE_NAME"),
		paths:      apply.Paths{Plugins: "/opt/cni/bin", Config: "/etc/cni/net.d/10-pilotis.conflist"},
		pluginDir:  "/usr/local/lib/cni",
		masquerade: true,
		serving:    daemon.NewServingOptions(0),
	}
	o.client.QPS, o.client.Burst = 5, 10
	if subnets := os.Getenv("POD_SUBNET"); subnets != "" {
		o.clusterCIDR = strings.Split(subnets, ",")
	}
	return o
}

func (o *options) flags() *cliflag.NamedFlagSets {
	fss := &cliflag.NamedFlagSets{}
	fs := fss.FlagSet("podnet")
	fs.StringVar(&o.client.Kubeconfig, "kubeconfig", o.client.Kubeconfig, "Kubeconfig file; without it the pod's service account is used.")
	fs.StringVar(&o.nodeName, "node-name", o.nodeName, "Name of this node's Node object. Default: the variable NODE_NAME.")
	fs.StringSliceVar(&o.clusterCIDR, "cluster-cidr", o.clusterCIDR, "CIDRs of all pods. Packets to them are never masqueraded. Default: the variable POD_SUBNET.")
	fs.BoolVar(&o.masquerade, "masquerade", o.masquerade, "Give packets from pods to places outside --cluster-cidr the node's address.")
	fs.StringVar(&o.pluginDir, "plugin-source", o.pluginDir, "Folder of the CNI plugins to install.")
	fs.StringVar(&o.paths.Plugins, "plugin-dir", o.paths.Plugins, "Folder in which the container runtime looks for CNI plugins.")
	fs.StringVar(&o.paths.Config, "config-file", o.paths.Config, "CNI configuration list to write.")
	o.serving.AddFlags(fss)
	return fss
}

func (o *options) validate() error {
	errs := o.serving.Validate()
	if o.nodeName == "" {
		errs = append(errs, fmt.Errorf("--node-name is missing: set it, or the variable NODE_NAME from spec.nodeName"))
	}
	if o.masquerade && len(o.clusterCIDR) == 0 {
		errs = append(errs, fmt.Errorf("--cluster-cidr is missing: --masquerade must know which addresses are pods"))
	}
	if _, err := desired.Prefixes(o.clusterCIDR); err != nil {
		errs = append(errs, fmt.Errorf("--cluster-cidr=%s: %w", strings.Join(o.clusterCIDR, ","), err))
	}
	return utilerrors.NewAggregate(errs)
}

func (o *options) run(ctx context.Context, flags *cliflag.NamedFlagSets) error {
	config, err := daemon.ClientConfig("", "podnet", o.client)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	writer, err := apply.NewWriter(o.paths, o.masquerade)
	if err != nil {
		return err
	}
	if err := apply.InstallPlugins(o.pluginDir, o.paths.Plugins); err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, resync, informers.WithTransform(keepAddresses))
	nodes := factory.Core().V1().Nodes()
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	if _, err := nodes.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { notify() },
		UpdateFunc: func(any, any) { notify() },
		DeleteFunc: func(any) { notify() },
	}); err != nil {
		return err
	}
	go daemon.TellUnreachable(ctx, client.Discovery())
	factory.Start(ctx.Done())
	synced := nodes.Informer().HasSynced
	stopped, err := o.serving.Serve(ctx, daemon.Endpoint{Name: "podnet", Flags: flags, Ready: []healthz.HealthChecker{
		healthz.NamedCheck("nodes", func(*http.Request) error {
			if !synced() {
				return fmt.Errorf("the list of nodes has not arrived yet")
			}
			return nil
		})}})
	if err != nil {
		return err
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced) {
		return nil
	}
	retry := time.NewTimer(0)
	for {
		select {
		case <-ctx.Done():
			<-stopped
			return nil
		case <-changed:
		case <-retry.C:
		}
		list, err := nodes.Lister().List(labels.Everything())
		if err == nil {
			var plan desired.Plan
			if plan, err = desired.For(o.nodeName, list, o.clusterCIDR); err == nil {
				err = writer.Apply(ctx, plan)
			}
		}
		if err != nil {
			klog.FromContext(ctx).Error(err, "Applying the pod network failed, trying again")
			retry.Reset(2 * time.Second)
		}
	}
}

// keepAddresses drops from a Node what podnet does not read: images and conditions are most of its size.
func keepAddresses(obj any) (any, error) {
	if n, ok := obj.(*v1.Node); ok {
		n.ManagedFields, n.Status.Images, n.Status.Conditions = nil, nil, nil
	}
	return obj, nil
}
