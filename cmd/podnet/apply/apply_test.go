package apply

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"sigs.k8s.io/knftables"

	"pilotis.dev/cmd/podnet/desired"
)

func TestPluginsAreInstalledWhole(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "cni", "bin")
	write := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(from, "bridge"), "new")
	for range 2 { // the second time there is nothing to do
		if err := InstallPlugins(from, to); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(to, "bridge"), "old")
	write(filepath.Join(to, "other"), "somebody's")
	if err := InstallPlugins(from, to); err != nil {
		t.Fatal(err)
	}
	var names []string
	entries, err := os.ReadDir(to)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	data, err := os.ReadFile(filepath.Join(to, "bridge"))
	if err != nil || string(data) != "new" || !slices.Equal(names, []string{"bridge", "other"}) {
		t.Errorf("%v, bridge is %q (%v)", names, data, err)
	}
	if err := InstallPlugins("/none", to); err == nil || !strings.Contains(err.Error(), "/none") {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// TestKernelTakesMasquerading writes the rules twice, as a restart does, into a network namespace of its own.
func TestKernelTakesMasquerading(t *testing.T) {
	plan := desired.Plan{PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("fd00:1::/64")},
		ClusterCIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16"), netip.MustParsePrefix("fd00::/48")}}
	fake := knftables.NewFake(knftables.InetFamily, "podnet")
	for range 2 {
		if err := fake.Run(t.Context(), masquerade(fake, plan)); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"ip saddr 10.244.1.0/24 ip daddr 10.244.0.0/16 return", "ip saddr 10.244.1.0/24 oifname != cni0 masquerade", "ip6 saddr fd00:1::/64 ip6 daddr fd00::/48 return"} {
		if got := strings.Count(fake.Dump(), want); got != 1 {
			t.Errorf("%d times %q in\n%s", got, want, fake.Dump())
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("not root: the kernel's parser is not asked")
	}
	script := masquerade(fake, plan).String()
	cmd := exec.Command("unshare", "--net", "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script + script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%s", err, out, script)
	}
}

// inOwnNetwork runs f on a thread in a new network namespace with a link to 10.0.0.0/24. The thread ends with it.
func inOwnNetwork(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not root: no network namespace can be made")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = addLink()
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func addLink() error {
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0", MTU: 1400}, PeerName: "peer"}
	if err := netlink.LinkAdd(veth); err != nil {
		return err
	}
	for _, name := range []string{"eth0", "peer"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
	}
	return netlink.AddrAdd(veth, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(10, 0, 0, 1), Mask: net.CIDRMask(24, 32)}})
}

// TestRoutesFollowThePlan: podnet's routes come, change and go, and those of others stay.
func TestRoutesFollowThePlan(t *testing.T) {
	route := func(to, via string) desired.Route {
		return desired.Route{Destination: netip.MustParsePrefix(to), Via: netip.MustParseAddr(via)}
	}
	inOwnNetwork(t, func() {
		_, foreign, err := net.ParseCIDR("10.9.0.0/16")
		if err != nil {
			t.Error(err)
			return
		}
		if err := netlink.RouteAdd(&netlink.Route{Dst: foreign, Gw: net.IPv4(10, 0, 0, 9)}); err != nil {
			t.Error(err)
			return
		}
		for _, tt := range []struct {
			plan []desired.Route
			want string
		}{
			{[]desired.Route{route("10.244.1.0/24", "10.0.0.2"), route("10.244.2.0/24", "10.0.0.3")}, "10.244.1.0/24>10.0.0.2 10.244.2.0/24>10.0.0.3 10.9.0.0/16>10.0.0.9"},
			{[]desired.Route{route("10.244.1.0/24", "10.0.0.2"), route("10.244.2.0/24", "10.0.0.4")}, "10.244.1.0/24>10.0.0.2 10.244.2.0/24>10.0.0.4 10.9.0.0/16>10.0.0.9"},
			{[]desired.Route{route("10.244.2.0/24", "10.0.0.4")}, "10.244.2.0/24>10.0.0.4 10.9.0.0/16>10.0.0.9"},
			{nil, "10.9.0.0/16>10.0.0.9"},
		} {
			if err := applyRoutes(context.Background(), tt.plan); err != nil {
				t.Error(err)
			}
			if got := gateways(t); got != tt.want {
				t.Errorf("routes %s, want %s", got, tt.want)
			}
		}
		err = applyRoutes(context.Background(), []desired.Route{route("10.244.3.0/24", "172.16.0.1")})
		if err == nil || !strings.Contains(err.Error(), "nodes must share a link") {
			t.Errorf("a node that cannot be reached directly: %v", err)
		}
	})
}

// gateways gives the routes that lead by a gateway, sorted.
func gateways(t *testing.T) string {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		t.Error(err)
	}
	var out []string
	for _, r := range routes {
		if r.Gw != nil {
			out = append(out, r.Dst.String()+">"+r.Gw.String())
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestPodsGetTheUplinksMTU(t *testing.T) {
	inOwnNetwork(t, func() {
		if mtu, err := uplinkMTU(); err != nil || mtu != 1500 {
			t.Errorf("without a default route %d (%v), want 1500", mtu, err)
		}
		if err := netlink.RouteAdd(&netlink.Route{Gw: net.IPv4(10, 0, 0, 254)}); err != nil {
			t.Error(err)
		}
		if mtu, err := uplinkMTU(); err != nil || mtu != 1400 {
			t.Errorf("MTU %d (%v), want the link's 1400", mtu, err)
		}
	})
}
