// Package apply carries a pod network plan out: CNI configuration, routes, masquerading.
package apply

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
	"sigs.k8s.io/knftables"

	"pilotis.dev/cmd/podnet/desired"
)

// routeProtocol marks the routes that podnet made, so that it removes its own alone (rtnetlink(7) leaves
// numbers above 4 to routing programs).
const routeProtocol = 79

// Paths is where things are installed on the node.
type Paths struct {
	Plugins string // folder
	Config  string // file
}

// Writer applies plans.
type Writer struct {
	paths Paths
	nft   knftables.Interface // nil without masquerading
}

// NewWriter returns a writer; with masquerade it needs the program nft and the kernel's nftables.
func NewWriter(paths Paths, masquerade bool) (*Writer, error) {
	w := &Writer{paths: paths}
	if masquerade {
		nft, err := knftables.New(knftables.InetFamily, "podnet")
		if err != nil {
			return nil, fmt.Errorf("masquerading needs nftables in the kernel and the program nft: %w", err)
		}
		w.nft = nft
	}
	return w, nil
}

// Apply makes the node's network what plan says. It can be repeated at any time.
func (w *Writer) Apply(ctx context.Context, plan desired.Plan) error {
	mtu, err := uplinkMTU()
	if err != nil {
		return err
	}
	if err := applyRoutes(ctx, plan.Routes); err != nil {
		return err
	}
	if w.nft != nil {
		if err := w.nft.Run(ctx, masquerade(w.nft, plan)); err != nil {
			return fmt.Errorf("masquerade rules: %w", err)
		}
	}
	// The configuration comes last: with it the runtime reports the network as ready.
	conf, err := plan.ConfList(mtu)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(w.paths.Config), 0o755); err != nil {
		return err
	}
	return writeWhole(w.paths.Config, conf, 0o644)
}

// masquerade replaces the table: packets of this node's pods to places outside the cluster leave with the
// node's address.
func masquerade(nft knftables.Interface, plan desired.Plan) *knftables.Transaction {
	tx := nft.NewTransaction()
	tx.Add(&knftables.Table{})
	tx.Flush(&knftables.Table{})
	tx.Add(&knftables.Chain{Name: "postrouting", Type: knftables.PtrTo(knftables.NATType), Hook: knftables.PtrTo(knftables.PostroutingHook), Priority: knftables.PtrTo(knftables.SNATPriority)})
	for _, pods := range plan.PodCIDRs {
		family, multicast := "ip", "224.0.0.0/4"
		if pods.Addr().Is6() {
			family, multicast = "ip6", "ff00::/8"
		}
		tx.Add(&knftables.Rule{Chain: "postrouting", Rule: knftables.Concat(family, "daddr", multicast, "return")})
		for _, cluster := range plan.ClusterCIDRs {
			if cluster.Addr().Is4() == pods.Addr().Is4() {
				tx.Add(&knftables.Rule{Chain: "postrouting", Rule: knftables.Concat(family, "saddr", pods, family, "daddr", cluster, "return")})
			}
		}
		tx.Add(&knftables.Rule{Chain: "postrouting", Rule: knftables.Concat(family, "saddr", pods, "oifname", "!=", "cni0", "masquerade")})
	}
	return tx
}

func applyRoutes(ctx context.Context, routes []desired.Route) error {
	existing, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Protocol: routeProtocol, Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
	if err != nil {
		return fmt.Errorf("listing routes: %w", err)
	}
	wanted := map[netip.Prefix]netip.Addr{}
	for _, r := range routes {
		wanted[r.Destination] = r.Via
	}
	logger := klog.FromContext(ctx)
	var errs []error
	for _, have := range existing {
		dst, via := routeOf(have)
		if wanted[dst] == via {
			delete(wanted, dst)
			continue
		}
		logger.Info("Removing route", "destination", dst, "via", via)
		if err := netlink.RouteDel(&have); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("removing the route to %s: %w", dst, err))
		}
	}
	for dst, via := range wanted {
		logger.Info("Adding route", "destination", dst, "via", via)
		err := netlink.RouteReplace(&netlink.Route{
			Dst:      &net.IPNet{IP: dst.Addr().AsSlice(), Mask: net.CIDRMask(dst.Bits(), dst.Addr().BitLen())},
			Gw:       via.AsSlice(),
			Protocol: routeProtocol,
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("route to %s via %s: %w (nodes must share a link)", dst, via, err))
		}
	}
	return errors.Join(errs...)
}

func routeOf(r netlink.Route) (netip.Prefix, netip.Addr) {
	via, _ := netip.AddrFromSlice(r.Gw)
	if r.Dst == nil {
		return netip.Prefix{}, via.Unmap()
	}
	ip, _ := netip.AddrFromSlice(r.Dst.IP)
	bits, _ := r.Dst.Mask.Size()
	return netip.PrefixFrom(ip.Unmap(), bits), via.Unmap()
}

// uplinkMTU is the MTU of the link that leads to the other nodes: the pods' bridge gets the same.
func uplinkMTU() (int, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return 0, fmt.Errorf("listing routes: %w", err)
	}
	for _, r := range routes {
		if r.Dst != nil && r.Dst.String() != "0.0.0.0/0" {
			continue
		}
		if link, err := netlink.LinkByIndex(r.LinkIndex); err == nil {
			return link.Attrs().MTU, nil
		}
	}
	return 1500, nil
}
