// Package memory is a cloud that lives in this process: every node is one of its instances, load balancers get
// addresses from a range, routes are remembered. It is for clusters without a cloud and for tests.
package memory

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	cloudprovider "k8s.io/cloud-provider"
	"sigs.k8s.io/yaml"
)

// Name is what --cloud-provider calls this cloud.
const Name = "memory"

// Config is the --cloud-config file.
type Config struct {
	// LoadBalancerRange is the CIDR that load balancers get their addresses from.
	LoadBalancerRange string `json:"loadBalancerRange"`
	InstanceType      string `json:"instanceType"`
	Zone              string `json:"zone"`
	Region            string `json:"region"`
}

type cloud struct {
	config Config
	pool   netip.Prefix

	mu        sync.Mutex
	balancers map[types.UID]netip.Addr // by the Service's UID
	routes    map[string]*cloudprovider.Route
}

// New opens the cloud; an empty file name takes the defaults.
func New(file string) (cloudprovider.Interface, error) {
	c := Config{LoadBalancerRange: "198.51.100.0/24", InstanceType: "memory.standard", Zone: "memory-1", Region: "memory"}
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--cloud-config: %w", err)
		}
		if err := yaml.UnmarshalStrict(data, &c); err != nil {
			return nil, fmt.Errorf("--cloud-config %s: %w", file, err)
		}
	}
	pool, err := netip.ParsePrefix(c.LoadBalancerRange)
	if err != nil {
		return nil, fmt.Errorf("loadBalancerRange: Invalid value: %q: must be a CIDR such as 198.51.100.0/24", c.LoadBalancerRange)
	}
	return &cloud{config: c, pool: pool.Masked(), balancers: map[types.UID]netip.Addr{}, routes: map[string]*cloudprovider.Route{}}, nil
}

func (*cloud) Initialize(cloudprovider.ControllerClientBuilder, <-chan struct{}) {}
func (c *cloud) LoadBalancer() (cloudprovider.LoadBalancer, bool)                { return c, true }
func (*cloud) Instances() (cloudprovider.Instances, bool)                        { return nil, false }
func (c *cloud) InstancesV2() (cloudprovider.InstancesV2, bool)                  { return c, true }
func (*cloud) Zones() (cloudprovider.Zones, bool)                                { return nil, false }
func (*cloud) Clusters() (cloudprovider.Clusters, bool)                          { return nil, false }
func (c *cloud) Routes() (cloudprovider.Routes, bool)                            { return c, true }
func (*cloud) ProviderName() string                                              { return Name }
func (*cloud) HasClusterID() bool                                                { return true }

// InstanceExists: every node is an instance as long as it is there.
func (*cloud) InstanceExists(context.Context, *v1.Node) (bool, error) { return true, nil }

// InstanceShutdown: instances of this cloud do not stop.
func (*cloud) InstanceShutdown(context.Context, *v1.Node) (bool, error) { return false, nil }

// InstanceMetadata keeps the addresses that the kubelet found.
func (c *cloud) InstanceMetadata(_ context.Context, n *v1.Node) (*cloudprovider.InstanceMetadata, error) {
	return &cloudprovider.InstanceMetadata{
		ProviderID: Name + "://" + n.Name, InstanceType: c.config.InstanceType, Zone: c.config.Zone, Region: c.config.Region, NodeAddresses: n.Status.Addresses,
	}, nil
}

func (c *cloud) GetLoadBalancerName(_ context.Context, _ string, s *v1.Service) string {
	return cloudprovider.DefaultLoadBalancerName(s)
}

func (c *cloud) GetLoadBalancer(_ context.Context, _ string, s *v1.Service) (*v1.LoadBalancerStatus, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ip, ok := c.balancers[s.UID]
	if !ok {
		return nil, false, nil
	}
	return statusOf(ip), true, nil
}

// EnsureLoadBalancer gives the Service the address it has, the one that its status shows from before a restart, or a
// free one.
func (c *cloud) EnsureLoadBalancer(_ context.Context, _ string, s *v1.Service, _ []*v1.Node) (*v1.LoadBalancerStatus, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ip, ok := c.balancers[s.UID]
	if !ok {
		if ip, ok = c.remembered(s); !ok {
			if ip, ok = c.free(); !ok {
				return nil, fmt.Errorf("no address of %s is free", c.pool)
			}
		}
		c.balancers[s.UID] = ip
	}
	return statusOf(ip), nil
}

func (c *cloud) UpdateLoadBalancer(context.Context, string, *v1.Service, []*v1.Node) error {
	return nil
}

func (c *cloud) EnsureLoadBalancerDeleted(_ context.Context, _ string, s *v1.Service) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.balancers, s.UID)
	return nil
}

func (c *cloud) remembered(s *v1.Service) (netip.Addr, bool) {
	for _, i := range s.Status.LoadBalancer.Ingress {
		if ip, err := netip.ParseAddr(i.IP); err == nil && c.pool.Contains(ip) && !c.taken(ip) {
			return ip, true
		}
	}
	return netip.Addr{}, false
}

func (c *cloud) free() (netip.Addr, bool) {
	for ip := c.pool.Addr().Next(); c.pool.Contains(ip); ip = ip.Next() {
		if !c.taken(ip) {
			return ip, true
		}
	}
	return netip.Addr{}, false
}

func (c *cloud) taken(ip netip.Addr) bool {
	for _, used := range c.balancers {
		if used == ip {
			return true
		}
	}
	return false
}

func statusOf(ip netip.Addr) *v1.LoadBalancerStatus {
	return &v1.LoadBalancerStatus{Ingress: []v1.LoadBalancerIngress{{IP: ip.String()}}}
}

func (c *cloud) ListRoutes(context.Context, string) ([]*cloudprovider.Route, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*cloudprovider.Route
	for _, r := range c.routes {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b *cloudprovider.Route) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (c *cloud) CreateRoute(_ context.Context, cluster, hint string, r *cloudprovider.Route) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	named := *r
	named.Name = cluster + "-" + hint + "-" + r.DestinationCIDR
	c.routes[named.Name] = &named
	return nil
}

func (c *cloud) DeleteRoute(_ context.Context, _ string, r *cloudprovider.Route) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.routes, r.Name)
	return nil
}
