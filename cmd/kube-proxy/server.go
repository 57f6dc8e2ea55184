package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	networkinginformers "k8s.io/client-go/informers/networking/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/klog/v2"
	"sigs.k8s.io/knftables"

	"pilotis.dev/cmd/kube-proxy/apply"
	"pilotis.dev/cmd/kube-proxy/config"
	"pilotis.dev/cmd/kube-proxy/desired"
	"pilotis.dev/cmd/kube-proxy/health"
	"pilotis.dev/cmd/kube-proxy/rules/nftables"
	"pilotis.dev/pkg/daemon"
)

// server is the daemon: watches in, proxiers out.
type server struct {
	options  *config.Options
	flags    *cliflag.NamedFlagSets
	client   kubernetes.Interface
	status   *health.Status
	local    *health.LocalEndpoints
	proxiers []*apply.Proxier
}

func newServer(o *config.Options, flags *cliflag.NamedFlagSets) (*server, error) {
	c, err := daemon.ClientConfig(o.Master, "kube-proxy", o.ClientConnection())
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(c)
	if err != nil {
		return nil, err
	}
	status := &health.Status{}
	return &server{options: o, flags: flags, client: client, status: status, local: health.NewLocalEndpoints(status)}, nil
}

func (s *server) run(ctx context.Context) error {
	logger := klog.FromContext(ctx)
	c := &s.options.Config
	if _, err := newTable(knftables.IPv4Family); err != nil {
		return err
	}
	if err := (apply.Conntrack{}).Tune(c.Conntrack); err != nil {
		logger.Info("Connection tracking keeps the kernel's settings", "reason", err.Error())
	}
	if s.options.InitOnly {
		return nil
	}
	if err := apply.SetOOMScore(*c.OOMScoreAdj); err != nil {
		logger.Info("The kernel keeps its choice of whom to end when memory runs out", "reason", err.Error())
	}
	stopEndpoints, err := s.serveEndpoints(ctx)
	if err != nil {
		return err
	}
	defer stopEndpoints()
	node, err := s.awaitNode(ctx)
	if err != nil {
		return err
	}
	if err := s.makeProxiers(ctx, node); err != nil {
		return err
	}
	if err := s.watch(ctx); err != nil {
		return err
	}
	for _, p := range s.proxiers[1:] {
		go p.Run(ctx)
	}
	s.proxiers[0].Run(ctx)
	return nil
}

// awaitNode waits for this node's Node object with an address: it decides on families and node ports.
func (s *server) awaitNode(ctx context.Context) (*v1.Node, error) {
	name := s.options.Config.HostnameOverride
	logger := klog.FromContext(ctx)
	for {
		node, err := s.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil && (s.options.Config.DetectLocalMode != config.LocalModeNodeCIDR || len(node.Spec.PodCIDRs) > 0):
			return node, nil
		case err == nil:
			logger.Info("Waiting for the node's spec.podCIDRs", "node", name)
		case apierrors.IsNotFound(err):
			logger.Info("Waiting for the Node object", "node", name)
		default:
			logger.Error(err, "Reading the Node object failed, trying again", "node", name)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// makeProxiers makes a proxier for each IP family of the node.
func (s *server) makeProxiers(ctx context.Context, node *v1.Node) error {
	addresses := nodeAddresses(node, s.options.Config.BindAddress)
	pods, err := s.podCIDRs(node)
	if err != nil {
		return err
	}
	for _, family := range []v1.IPFamily{v1.IPv4Protocol, v1.IPv6Protocol} {
		primary, ok := firstOf(addresses, family)
		if !ok {
			continue
		}
		nodePortIPs, err := nodePortAddresses(s.options.Config.NodePortAddresses, primary)
		if err != nil {
			return err
		}
		nftFamily := knftables.IPv4Family
		if family == v1.IPv6Protocol {
			nftFamily = knftables.IPv6Family
		}
		nft, err := newTable(nftFamily)
		if err != nil {
			return err
		}
		s.proxiers = append(s.proxiers, apply.NewProxier(apply.Config{
			Family:   family,
			Node:     desired.NodeOf(node),
			NFT:      nft,
			Settings: nftables.Settings{Family: family, NodePortIPs: nodePortIPs, MasqueradeBit: *s.options.Config.NFTables.MasqueradeBit},
			Rules: nftables.Builder{Family: family, ClusterCIDRs: ofFamily(pods, family), PodInterface: s.options.PodInterface(),
				MasqueradeAll: s.options.Config.NFTables.MasqueradeAll},
			MinSyncPeriod: s.options.Config.NFTables.MinSyncPeriod.Duration,
			RetryPeriod:   s.options.Config.NFTables.SyncPeriod.Duration,
			Conntrack:     apply.Conntrack{},
			Synced: func(changes map[types.NamespacedName][]desired.ServicePort) {
				s.status.Applied()
				s.local.Update(ctx, changes)
			},
		}))
		klog.FromContext(ctx).Info("Proxying", "family", family, "nodePortAddresses", nodePortIPs, "pods", ofFamily(pods, family))
	}
	if len(s.proxiers) == 0 {
		return fmt.Errorf("node %s has no address of its own: give the kubelet --node-ip, or kube-proxy --bind-address", node.Name)
	}
	return nil
}

// newTable opens kube-proxy's table of one family; it is what tells whether the machine can do the mode at all.
func newTable(family knftables.Family) (knftables.Interface, error) {
	nft, err := knftables.New(family, nftables.Table)
	if err != nil {
		return nil, fmt.Errorf("proxy mode nftables needs nftables in the kernel (5.13 or newer) and the program nft 1.0.1 or newer: %w", err)
	}
	return nft, nil
}

func (s *server) podCIDRs(node *v1.Node) ([]netip.Prefix, error) {
	var cidrs []string
	switch c := &s.options.Config; {
	case c.DetectLocalMode == config.LocalModeNodeCIDR:
		cidrs = node.Spec.PodCIDRs
	case c.DetectLocalMode == config.LocalModeClusterCIDR && c.ClusterCIDR != "":
		cidrs = strings.Split(c.ClusterCIDR, ",")
	}
	var out []netip.Prefix
	for _, c := range cidrs {
		p, err := netip.ParsePrefix(c)
		if err != nil {
			return nil, fmt.Errorf("CIDR of pods: %w", err)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// watch feeds the proxiers and returns when they have everything that exists.
func (s *server) watch(ctx context.Context) error {
	resync := s.options.Config.ConfigSyncPeriod.Duration
	factory := informers.NewSharedInformerFactoryWithOptions(s.client, resync, informers.WithTransform(dropManagedFields),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.LabelSelector = "!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless"
		}))
	nodes := informers.NewSharedInformerFactoryWithOptions(s.client, resync, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", s.options.Config.HostnameOverride).String()
	}))
	var synced []cache.InformerSynced
	for _, w := range []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandler
	}{
		{factory.Core().V1().Services().Informer(), s.serviceHandler()},
		{factory.Discovery().V1().EndpointSlices().Informer(), s.sliceHandler()},
		{nodes.Core().V1().Nodes().Informer(), s.nodeHandler()},
	} {
		registration, err := w.informer.AddEventHandler(w.handler)
		if err != nil {
			return err
		}
		synced = append(synced, registration.HasSynced)
	}
	ranges := informers.NewSharedInformerFactory(s.client, resync)
	if err := s.watchServiceCIDRs(ranges.Networking().V1().ServiceCIDRs()); err != nil {
		return err
	}
	ranges.Start(ctx.Done()) // not waited for: a cluster may withhold them
	factory.Start(ctx.Done())
	nodes.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return ctx.Err()
	}
	return nil
}

// watchServiceCIDRs tells the proxiers the ranges of cluster IPs.
func (s *server) watchServiceCIDRs(ranges networkinginformers.ServiceCIDRInformer) error {
	tell := func() {
		all, err := ranges.Lister().List(labels.Everything())
		if err != nil {
			return
		}
		for _, p := range s.proxiers {
			p.OnServiceCIDRs(serviceCIDRs(all, p.Family()))
		}
	}
	_, err := ranges.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { tell() }, UpdateFunc: func(any, any) { tell() }, DeleteFunc: func(any) { tell() },
	})
	return err
}

func (s *server) serviceHandler() cache.ResourceEventHandler {
	set := func(obj any) {
		for _, p := range s.proxiers {
			p.OnService(obj.(*v1.Service))
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: set,
		UpdateFunc: func(old, obj any) {
			if old.(*v1.Service).ResourceVersion != obj.(*v1.Service).ResourceVersion {
				set(obj)
			}
		},
		DeleteFunc: func(obj any) {
			if svc, ok := last[*v1.Service](obj); ok {
				for _, p := range s.proxiers {
					p.OnServiceDelete(types.NamespacedName{Namespace: svc.Namespace, Name: svc.Name})
				}
			}
		},
	}
}

func (s *server) sliceHandler() cache.ResourceEventHandler {
	set := func(obj any) {
		for _, p := range s.proxiers {
			p.OnSlice(obj.(*discoveryv1.EndpointSlice))
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: set,
		UpdateFunc: func(old, obj any) {
			if old.(*discoveryv1.EndpointSlice).ResourceVersion != obj.(*discoveryv1.EndpointSlice).ResourceVersion {
				set(obj)
			}
		},
		DeleteFunc: func(obj any) {
			if slice, ok := last[*discoveryv1.EndpointSlice](obj); ok {
				for _, p := range s.proxiers {
					p.OnSliceDelete(slice)
				}
			}
		},
	}
}

func (s *server) nodeHandler() cache.ResourceEventHandler {
	set := func(obj any) {
		node := obj.(*v1.Node)
		s.status.SetNodeLeaving(node.DeletionTimestamp != nil)
		for _, p := range s.proxiers {
			p.OnNode(desired.NodeOf(node))
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: set, UpdateFunc: func(_, obj any) { set(obj) }}
}

// dropManagedFields leaves out what a proxy never reads.
func dropManagedFields(obj any) (any, error) {
	if m, err := meta.Accessor(obj); err == nil {
		m.SetManagedFields(nil)
	}
	return obj, nil
}

// last unwraps an object whose deletion was seen late.
func last[T any](obj any) (T, bool) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	t, ok := obj.(T)
	return t, ok
}

// cleanup removes the tables of both families.
func cleanup(ctx context.Context) error {
	for _, family := range []knftables.Family{knftables.IPv4Family, knftables.IPv6Family} {
		nft, err := knftables.New(family, nftables.Table)
		if err != nil {
			return fmt.Errorf("--cleanup needs nftables in the kernel and the program nft: %w", err)
		}
		tx := nft.NewTransaction()
		tx.Add(&knftables.Table{})
		tx.Delete(&knftables.Table{})
		if err := nft.Run(ctx, tx); err != nil {
			return fmt.Errorf("removing table %s %s: %w", family, nftables.Table, err)
		}
	}
	return nil
}
