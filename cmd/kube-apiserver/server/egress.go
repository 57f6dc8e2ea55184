package server

import (
	"fmt"
	"net/http"
	"slices"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/server/egressselector"

	"pilotis.dev/cmd/kube-apiserver/resources/proxied"
)

// applyEgress reads by which proxies this server leaves for the control plane, etcd and the cluster (KEP-1281).
func (c *config) applyEgress() error {
	path := c.options.Egress.ConfigFile
	selections, err := egressselector.ReadEgressSelectorConfiguration(path)
	if err != nil {
		return fmt.Errorf("--egress-selector-config-file=%s: %w", path, err)
	}
	if err := egressselector.ValidateEgressSelectorConfiguration(selections).ToAggregate(); err != nil {
		return fmt.Errorf("--egress-selector-config-file=%s: %w", path, err)
	}
	if selections == nil {
		return nil
	}
	// Direct means as without the file: by dialers that keep off this machine's own addresses, which the library's does not.
	selections.EgressSelections = slices.DeleteFunc(selections.EgressSelections, func(s apiserver.EgressSelection) bool {
		return s.Connection.ProxyProtocol == apiserver.ProtocolDirect
	})
	if len(selections.EgressSelections) == 0 {
		return nil
	}
	if c.generic.EgressSelector, err = egressselector.NewEgressSelector(selections); err != nil {
		return fmt.Errorf("--egress-selector-config-file=%s: %w", path, err)
	}
	c.options.Etcd.StorageConfig.Transport.EgressLookup = c.generic.EgressSelector.Lookup
	return nil
}

// applyTraces sends the spans of requests, down to those of etcd, where the file says.
func (c *config) applyTraces() error {
	o := c.options
	if err := o.Traces.ApplyTo(c.generic.EgressSelector, c.generic); err != nil {
		return fmt.Errorf("--tracing-config-file=%s: %w", o.Traces.ConfigFile, err)
	}
	o.Etcd.StorageConfig.Transport.TracerProvider = c.generic.TracerProvider
	return nil
}

// egress is how this server connects to a part of the world; nil connects directly.
func (c *config) egress(to egressselector.EgressType) (utilnet.DialFunc, error) {
	if c.generic.EgressSelector == nil {
		return nil, nil
	}
	return c.generic.EgressSelector.Lookup(to.AsNetworkContext())
}

// proxied is where clients may be proxied to.
func (c *config) proxied() proxied.Rule {
	if c.options.ProxyRejectLocalAddresses {
		return proxied.Forbidden
	}
	return proxied.Anywhere
}

// clusterTransport reaches pods and Services. Behind a proxy a name means what it means there, not on this machine.
func (c *config) clusterTransport() (*http.Transport, error) {
	dial, err := c.egress(egressselector.Cluster)
	t := c.proxied().Transport()
	if dial != nil {
		t.DialContext = dial
	}
	return t, err
}
