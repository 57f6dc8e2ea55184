package table

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"pilotis.dev/cmd/kube-controller-manager/controllers/clusterroleaggregation"
	"pilotis.dev/cmd/kube-controller-manager/controllers/endpoints"
	"pilotis.dev/cmd/kube-controller-manager/controllers/garbagecollector"
	"pilotis.dev/cmd/kube-controller-manager/controllers/namespace"
	"pilotis.dev/cmd/kube-controller-manager/controllers/nodeipam"
	"pilotis.dev/cmd/kube-controller-manager/controllers/nodelifecycle"
	"pilotis.dev/cmd/kube-controller-manager/controllers/podgc"
	"pilotis.dev/cmd/kube-controller-manager/controllers/resourcequota"
	"pilotis.dev/cmd/kube-controller-manager/controllers/slices"
	"pilotis.dev/cmd/kube-controller-manager/controllers/tainteviction"

	"k8s.io/utils/clock"
)

// cluster are the controllers that keep the cluster itself in order: namespaces, garbage, nodes, endpoints.
func cluster() []Row {
	return []Row{
		{
			Name: "namespace-controller", Aliases: []string{"namespace"},
			Purpose: "empties a namespace that is being deleted, in order, and lets it go",
			Reads:   []string{"namespaces", "*.*"}, Writes: []string{"update namespaces/finalize", "update namespaces/status", "delete namespaces", "delete,deletecollection *.*"},
			New: func(_ context.Context, env *Env) (Runner, error) {
				return namespace.New(env.Informers.Core().V1().Namespaces(), env.Client, env.Metadata, env.Discovery,
					env.Config.NamespaceController.NamespaceSyncPeriod.Duration, int(env.Config.NamespaceController.ConcurrentNamespaceSyncs)), nil
			},
		},
		{
			Name: "garbage-collector-controller", Aliases: []string{"garbagecollector"}, ServiceAccount: "generic-garbage-collector",
			Purpose: "deletes or orphans the dependents of what is gone",
			Reads:   []string{"*.*"}, Writes: []string{"patch,update,delete *.*", events},
			New: func(_ context.Context, env *Env) (Runner, error) {
				c := env.Config.GarbageCollectorController
				if !*c.EnableGarbageCollector {
					return nil, nil
				}
				return garbagecollector.New(env.Metadata, env.Kinds, env.Mapper, env.Recorder("garbage-collector-controller"), int(c.ConcurrentGCSyncs)), nil
			},
		},
		{
			Name: "pod-garbage-collector-controller", Aliases: []string{"podgc"}, ServiceAccount: "pod-garbage-collector",
			Purpose: "deletes pods that ended beyond a number, were never bound, or whose node is gone",
			Reads:   []string{"pods", "nodes"}, Writes: []string{"delete pods", "patch pods/status"},
			New: func(_ context.Context, env *Env) (Runner, error) {
				return podgc.New(env.Informers, env.Client, int(env.Config.PodGCController.TerminatedPodGCThreshold)), nil
			},
		},
		{
			Name: "clusterrole-aggregation-controller", Aliases: []string{"clusterrole-aggregation"},
			Purpose: "fills ClusterRoles that gather the rules of others",
			Reads:   []string{"clusterroles.rbac.authorization.k8s.io"}, Writes: []string{"escalate,patch,update clusterroles.rbac.authorization.k8s.io"},
			New: func(_ context.Context, env *Env) (Runner, error) {
				return clusterroleaggregation.New(env.Informers.Rbac().V1().ClusterRoles(), env.Client), nil
			},
		},
		{
			Name: "endpoints-controller", Aliases: []string{"endpoint"}, ServiceAccount: "endpoint-controller",
			Purpose: "keeps the Endpoints of Services with a selector",
			Reads:   []string{"services", "pods", "endpoints"}, Writes: []string{"create,update,delete endpoints", "create endpoints/restricted", events},
			New: func(_ context.Context, env *Env) (Runner, error) {
				c := env.Config.EndpointController
				return endpoints.New(env.Informers, env.Client, c.EndpointUpdatesBatchPeriod.Duration, int(c.ConcurrentEndpointSyncs)), nil
			},
		},
		{
			Name: "resourcequota-controller", Aliases: []string{"resourcequota"},
			Purpose: "counts what a namespace uses of its quotas",
			Reads:   []string{"*.*"}, Writes: []string{"update resourcequotas/status", events},
			New: func(_ context.Context, env *Env) (Runner, error) {
				c := env.Config.ResourceQuotaController
				return resourcequota.New(resourcequota.Config{Informers: env.Informers, MetadataInformers: env.MetadataInformers, Client: env.Client, Metadata: env.Metadata, Kinds: env.Kinds, Mapper: env.Mapper,
					Workers: int(c.ConcurrentResourceQuotaSyncs), Resync: c.ResourceQuotaSyncPeriod.Duration}), nil
			},
		},
		{
			Name: "node-ipam-controller", Aliases: []string{"nodeipam"}, ServiceAccount: "node-controller",
			Purpose: "gives each node its range of pod addresses",
			Reads:   []string{"nodes"}, Writes: []string{"patch nodes", events},
			New: newNodeIPAM,
		},
		{
			Name: "node-lifecycle-controller", Aliases: []string{"nodelifecycle"}, ServiceAccount: "node-controller",
			Purpose: "marks nodes whose heartbeat stays away, zone by zone",
			Reads:   []string{"nodes", "pods", "leases.coordination.k8s.io"}, Writes: []string{"patch nodes", "update nodes/status", "update pods/status", events},
			New: func(_ context.Context, env *Env) (Runner, error) {
				c := env.Config.NodeLifecycleController
				return nodelifecycle.New(env.Informers, env.Client, env.Recorder("node-controller"), nodelifecycle.Config{
					MonitorPeriod: c.NodeMonitorPeriod.Duration, MonitorGracePeriod: c.NodeMonitorGracePeriod.Duration, StartupGracePeriod: c.NodeStartupGracePeriod.Duration,
					EvictionRate: c.NodeEvictionRate, SecondaryRate: c.SecondaryNodeEvictionRate, LargeCluster: c.LargeClusterSizeThreshold, UnhealthyShare: c.UnhealthyZoneThreshold, Workers: 4,
				}), nil
			},
		},
		{
			Name:    "taint-eviction-controller",
			Purpose: "evicts pods that do not tolerate a NoExecute taint of their node",
			Reads:   []string{"nodes", "pods"}, Writes: []string{"delete pods", "patch pods/status", events},
			New: func(_ context.Context, env *Env) (Runner, error) {
				return tainteviction.New(env.Informers, env.Client, env.Recorder("taint-eviction-controller"), clock.RealClock{}), nil
			},
		},
		{
			Name: "endpointslice-controller", Aliases: []string{"endpointslice"},
			Purpose: "keeps the EndpointSlices of Services with a selector",
			Reads:   []string{"services", "pods", "nodes", "endpointslices.discovery.k8s.io"}, Writes: []string{"create,update,delete endpointslices.discovery.k8s.io", "create endpointslices.discovery.k8s.io/restricted", "update services/finalizers", events},
			New: func(_ context.Context, env *Env) (Runner, error) {
				c := env.Config.EndpointSliceController
				return slices.New(env.Informers, env.Client, env.Recorder("endpoint-slice-controller"), c.MaxEndpointsPerSlice, c.EndpointUpdatesBatchPeriod.Duration, int(c.ConcurrentServiceEndpointSyncs)), nil
			},
		},
	}
}

func newNodeIPAM(_ context.Context, env *Env) (Runner, error) {
	cloud, c := env.Config.KubeCloudShared, env.Config.NodeIPAMController
	if !cloud.AllocateNodeCIDRs || cloud.CIDRAllocatorType == "CloudAllocator" {
		return nil, nil
	}
	clusterCIDRs, err := prefixes("--cluster-cidr", cloud.ClusterCIDR)
	if err != nil {
		return nil, err
	}
	reserved, err := prefixes("--service-cluster-ip-range", c.ServiceCIDR)
	if err != nil {
		return nil, err
	}
	var ranges []nodeipam.Range
	for _, cidr := range clusterCIDRs {
		bits, own, fallback := int(c.NodeCIDRMaskSize), int(c.NodeCIDRMaskSizeIPv4), 24
		if cidr.Addr().Is6() {
			own, fallback = int(c.NodeCIDRMaskSizeIPv6), 64
		}
		if len(clusterCIDRs) > 1 || bits == 0 {
			bits = own
		}
		if bits == 0 {
			bits = fallback
		}
		ranges = append(ranges, nodeipam.Range{CIDR: cidr, NodeBits: bits})
	}
	return nodeipam.New(ranges, reserved, env.Informers.Core().V1().Nodes(), env.Client, env.Recorder("cidrAllocator"))
}

func prefixes(flag, list string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range strings.Split(list, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}
