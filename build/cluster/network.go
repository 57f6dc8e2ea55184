package cluster

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const switchNamespace = "switch"

// inNamespace runs f on a thread of its own inside the network namespace. The thread ends with it.
func inNamespace(name string, f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread keeps the namespace and must not be used again
		ns, err := netns.GetFromName(name)
		if err != nil {
			result <- fmt.Errorf("network namespace %s: %w", name, err)
			return
		}
		defer ns.Close()
		if err := netns.Set(ns); err != nil {
			result <- fmt.Errorf("entering network namespace %s: %w", name, err)
			return
		}
		result <- f()
	}()
	return <-result
}

// createNamespace makes a named network namespace with its loopback up, or takes one that exists.
func createNamespace(name string) error {
	if ns, err := netns.GetFromName(name); err == nil {
		ns.Close()
		return inNamespace(name, func() error { return linkUp("lo") })
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		ns, err := netns.NewNamed(name)
		if err != nil {
			result <- fmt.Errorf("creating network namespace %s: %w", name, err)
			return
		}
		defer ns.Close()
		result <- linkUp("lo")
	}()
	return <-result
}

func deleteNamespace(name string) error {
	path := filepath.Join("/run/netns", name)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := netns.DeleteNamed(name); err != nil {
		return fmt.Errorf("deleting network namespace %s: %w", name, err)
	}
	return nil
}

// createSwitch makes the bridge that joins the nodes. It forwards frames, not packets: its address answers as
// the nodes' default gateway and leads nowhere, so that what no rule catches dies there.
func (c Config) createSwitch() error {
	ns := c.namespace(switchNamespace)
	if err := createNamespace(ns); err != nil {
		return err
	}
	return inNamespace(ns, func() error {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
		if err := netlink.LinkAdd(bridge); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("creating the switch: %w%s", err, missingModule(err, "bridge"))
		}
		made, err := netlink.LinkByName("br0")
		if err != nil {
			return err
		}
		if err := addAddress(made, switchAddress); err != nil {
			return err
		}
		for _, f := range []string{"ip_forward", "conf/all/forwarding"} {
			if err := os.WriteFile("/proc/thread-self/net/../../sys/net/ipv4/"+f, []byte("0"), 0o644); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		return netlink.LinkSetUp(made)
	})
}

// connect gives the node a namespace whose eth0 is plugged into the switch.
func (c Config) connect(n Node) error {
	ns, sw := c.namespace(n.Name), c.namespace(switchNamespace)
	if err := createNamespace(ns); err != nil {
		return err
	}
	port := fmt.Sprintf("port%d", n.Index)
	err := inNamespace(sw, func() error {
		if link, err := netlink.LinkByName(port); err == nil {
			return netlink.LinkSetUp(link)
		}
		target, err := netns.GetFromName(ns)
		if err != nil {
			return err
		}
		defer target.Close()
		bridge, err := netlink.LinkByName("br0")
		if err != nil {
			return err
		}
		veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: port, MasterIndex: bridge.Attrs().Index},
			PeerName: "eth0", PeerNamespace: netlink.NsFd(int(target))}
		if err := netlink.LinkAdd(veth); err != nil {
			return fmt.Errorf("plugging node %s into the switch: %w%s", n.Name, err, missingModule(err, "veth"))
		}
		return netlink.LinkSetUp(veth)
	})
	if err != nil {
		return err
	}
	return inNamespace(ns, func() error { return configureUplink(n) })
}

func configureUplink(n Node) error {
	eth0, err := netlink.LinkByName("eth0")
	if err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	if err := addAddress(eth0, n.Address); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(eth0); err != nil {
		return err
	}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Gw: net.ParseIP(switchAddress)}); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("node %s: default route: %w", n.Name, err)
	}
	return nil
}

func addAddress(link netlink.Link, address string) error {
	_, subnet, err := net.ParseCIDR(nodeSubnet)
	if err != nil {
		return err
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(address), Mask: subnet.Mask}}
	if err := netlink.AddrAdd(link, addr); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("address %s: %w", address, err)
	}
	return nil
}

func linkUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}
