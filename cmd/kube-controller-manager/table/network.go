package table

import (
	"context"

	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/utils/clock"

	"pilotis.dev/cmd/kube-controller-manager/controllers/mirroring"
	"pilotis.dev/cmd/kube-controller-manager/controllers/nodettl"
	"pilotis.dev/cmd/kube-controller-manager/controllers/policystatus"
	"pilotis.dev/cmd/kube-controller-manager/controllers/servicecidr"
)

// network are the controllers of addresses, of endpoints that no selector keeps, and of what nodes and policies are told.
func network() []Row {
	return []Row{
		{
			Name: "ttl-controller", Aliases: []string{"ttl"},
			Purpose: "tells kubelets how long to keep Secrets and ConfigMaps, by the size of the cluster",
			Reads:   []string{"nodes"}, Writes: []string{"patch nodes"},
			New: func(_ context.Context, env *Env) (Runner, error) {
				return nodettl.New(env.Informers.Core().V1().Nodes(), env.Client), nil
			},
		},
		{
			Name: "service-cidr-controller", ServiceAccount: "service-cidrs-controller",
			Purpose: "protects ranges of Service addresses that are in use",
			Reads:   []string{"servicecidrs.networking.k8s.io", "ipaddresses.networking.k8s.io"},
			Writes:  []string{"update servicecidrs.networking.k8s.io", "update servicecidrs.networking.k8s.io/status", events},
			New: func(_ context.Context, env *Env) (Runner, error) {
				return servicecidr.New(env.Informers, env.Client, env.Recorder("service-cidr-controller"), clock.RealClock{}), nil
			},
		},
		{
			Name: "endpointslice-mirroring-controller", Aliases: []string{"endpointslicemirroring"}, ServiceAccount: "endpointslicemirroring-controller",
			Purpose: "copies Endpoints that users keep to EndpointSlices",
			Reads:   []string{"services", "endpoints", "endpointslices.discovery.k8s.io"},
			Writes:  []string{"update endpoints/finalizers", "create,update,delete endpointslices.discovery.k8s.io", "create endpointslices.discovery.k8s.io/restricted", events},
			New: func(_ context.Context, env *Env) (Runner, error) {
				c := env.Config.EndpointSliceMirroringController
				return mirroring.New(env.Informers, env.Client, env.Recorder("endpoint-slice-mirroring-controller"), mirroring.Options{
					Workers: int(c.MirroringConcurrentServiceEndpointSyncs), Limit: int(c.MirroringMaxEndpointsPerSubset), Batch: c.MirroringEndpointUpdatesBatchPeriod.Duration,
				}), nil
			},
		},
		{
			Name:    "validatingadmissionpolicy-status-controller",
			Purpose: "checks the expressions of policies against schemas",
			Reads:   []string{"validatingadmissionpolicies.admissionregistration.k8s.io"}, Writes: []string{"update validatingadmissionpolicies.admissionregistration.k8s.io/status"},
			New: func(_ context.Context, env *Env) (Runner, error) {
				checker := &validating.TypeChecker{SchemaResolver: &resolver.ClientDiscoveryResolver{Discovery: env.Discovery}, RestMapper: env.Mapper}
				return policystatus.New(env.Informers.Admissionregistration().V1().ValidatingAdmissionPolicies(), env.Client, checker, policystatus.Options{
					Workers: int(env.Config.ValidatingAdmissionPolicyStatusController.ConcurrentPolicySyncs),
				}), nil
			},
		},
		elsewhere("service-lb-controller", "service", "sets up the load balancers of Services"),
		elsewhere("node-route-controller", "route", "sets up a cloud's routes to the nodes' pods"),
		elsewhere("cloud-node-lifecycle-controller", "cloud-node-lifecycle", "deletes nodes whose machine is gone"),
	}
}

// elsewhere is a controller that upstream's daemon knows by name and that runs in the cloud-controller-manager alone.
func elsewhere(name, alias, purpose string) Row {
	return Row{Name: name, Aliases: []string{alias}, Purpose: purpose + ", in the cloud-controller-manager", New: func(context.Context, *Env) (Runner, error) { return nil, nil }}
}
