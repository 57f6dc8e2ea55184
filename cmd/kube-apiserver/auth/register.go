package auth

import (
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/server/egressselector"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// register adds metrics to /metrics. A second server in one process keeps the first one's: the registry knows a name once.
func register(all ...metrics.Registerable) {
	for _, m := range all {
		_ = legacyregistry.Register(m)
	}
}

// dialer returns how webhooks are reached; nil is the ordinary way.
func dialer(lookup egressselector.Lookup) (utilnet.DialFunc, error) {
	if lookup == nil {
		return nil, nil
	}
	return lookup(egressselector.ControlPlane.AsNetworkContext())
}
