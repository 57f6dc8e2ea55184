package csi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// driver is a registered CSI driver.
type driver struct {
	name     string
	endpoint string
	conn     *grpc.ClientConn
	node     spec.NodeClient

	nodeID     string
	maxVolumes int64
	topology   map[string]string

	stages      bool // NodeStageVolume and NodeUnstageVolume are needed
	takesGroup  bool // the driver gives volumes to a group itself
	expands     bool // the driver grows file systems on the node
	singleMulti bool // it knows the access modes SINGLE_NODE_SINGLE_WRITER and …MULTI_WRITER
}

// drivers are those registered at the moment.
type drivers struct {
	mu   sync.Mutex
	list map[string]*driver
}

const (
	callTimeout = 2 * time.Minute
	infoTimeout = 30 * time.Second
)

// get gives a driver; while the kubelet starts it may not have registered yet, and the mount is tried again.
func (d *drivers) get(name string) (*driver, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if found := d.list[name]; found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("driver name %s not found in the list of registered CSI drivers", name)
}

func (d *drivers) set(added *driver) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if old := d.list[added.name]; old != nil {
		old.conn.Close() // replaced
	}
	d.list[added.name] = added
}

func (d *drivers) remove(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.list[name]
	if old == nil {
		return false
	}
	old.conn.Close() // gone
	delete(d.list, name)
	return true
}

// all lists the drivers by name.
func (d *drivers) all() []*driver {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]*driver, 0, len(d.list))
	for _, one := range d.list {
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b *driver) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return out
}

// dial connects to a driver and asks what it can do and what it calls this node.
func dial(ctx context.Context, name, endpoint string, versions []string) (*driver, error) {
	if !slices.ContainsFunc(versions, func(v string) bool { return len(v) > 1 && (v[0] == '1' || v[:2] == "v1") }) {
		return nil, fmt.Errorf("CSI driver %s supports versions %v, of which this kubelet supports none", name, versions)
	}
	conn, err := grpc.NewClient("unix://"+endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	d := &driver{name: name, endpoint: endpoint, conn: conn, node: spec.NewNodeClient(conn)}
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	if err := d.ask(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("CSI driver %s: %w", name, err), conn.Close())
	}
	return d, nil
}

func (d *driver) ask(ctx context.Context) error {
	info, err := d.node.NodeGetInfo(ctx, &spec.NodeGetInfoRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return fmt.Errorf("NodeGetInfo: %w", err)
	}
	if info.NodeId == "" {
		return errors.New("NodeGetInfo gives no node ID")
	}
	d.nodeID, d.maxVolumes, d.topology = info.NodeId, info.MaxVolumesPerNode, info.GetAccessibleTopology().GetSegments()
	answer, err := d.node.NodeGetCapabilities(ctx, &spec.NodeGetCapabilitiesRequest{})
	if err != nil {
		return fmt.Errorf("NodeGetCapabilities: %w", err)
	}
	for _, c := range answer.Capabilities {
		switch c.GetRpc().GetType() {
		case spec.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME:
			d.stages = true
		case spec.NodeServiceCapability_RPC_VOLUME_MOUNT_GROUP:
			d.takesGroup = true
		case spec.NodeServiceCapability_RPC_SINGLE_NODE_MULTI_WRITER:
			d.singleMulti = true
		case spec.NodeServiceCapability_RPC_EXPAND_VOLUME:
			d.expands = true
		}
	}
	return nil
}
