package node

import (
	"context"
	"fmt"
	"sort"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	nodeutil "k8s.io/component-helpers/node/util"
	"k8s.io/klog/v2"
)

// sync computes the status and writes it if it differs from what the API has, or if that is old. ready reports the
// node's readiness.
func (m *Manager) sync(ctx context.Context) (ready bool, err error) {
	m.mu.Lock()
	before := m.latest
	m.mu.Unlock()
	if before == nil {
		return false, fmt.Errorf("node %s is not in the cache", m.Name)
	}
	after := before.DeepCopy()
	m.setStatus(ctx, after)
	_, condition := nodeutil.GetNodeCondition(&after.Status, v1.NodeReady)
	ready = condition.Status == v1.ConditionTrue
	m.mu.Lock()
	due := time.Since(m.reported) >= m.ReportEvery
	m.mu.Unlock()
	if !due && !differs(&before.Status, &after.Status) && equality.Semantic.DeepEqual(before.Annotations, after.Annotations) {
		return ready, nil
	}
	if bootID := before.Status.NodeInfo.BootID; bootID != "" && bootID != m.info.BootID {
		m.note(v1.EventTypeWarning, "Rebooted", fmt.Sprintf("Node %s has been rebooted, boot id: %s", m.Name, m.info.BootID))
	}
	if !equality.Semantic.DeepEqual(before.Annotations, after.Annotations) {
		if _, err := m.reconcile(ctx, before); err != nil {
			return ready, err
		}
	}
	written, _, err := nodeutil.PatchNodeStatus(m.Client.CoreV1(), types.NodeName(m.Name), before, after)
	if err != nil {
		return ready, fmt.Errorf("writing the status of node %s: %w", m.Name, err)
	}
	m.flush()
	klog.FromContext(ctx).V(3).Info("Wrote the node's status", "node", klog.KObj(written), "ready", ready)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reported = time.Now()
	if m.latest == before { // the watch has nothing newer
		m.latest = written
	}
	return ready, nil
}

// setStatus computes everything this kubelet says of its node.
func (m *Manager) setStatus(ctx context.Context, node *v1.Node) {
	if node.Annotations == nil {
		node.Annotations = map[string]string{}
	}
	now := time.Now()
	m.pending = nil
	m.seen = m.askRuntime(ctx)
	m.setAddresses(node)
	m.setMachine(node)
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = m.Port
	node.Status.RuntimeHandlers, node.Status.Features = m.seen.handlers, m.seen.features
	node.Status.Images = m.listImages(ctx, now)
	if m.VolumesInUse != nil {
		node.Status.VolumesInUse = m.VolumesInUse()
	}
	m.setPressures(node, now)
	m.setReady(node, now)
}

// differs compares two statuses apart from the times of heartbeats.
func differs(a, b *v1.NodeStatus) bool {
	strip := func(s *v1.NodeStatus) *v1.NodeStatus {
		c := s.DeepCopy()
		for i := range c.Conditions {
			c.Conditions[i].LastHeartbeatTime = metav1.Time{}
		}
		sort.Slice(c.Conditions, func(i, j int) bool { return c.Conditions[i].Type < c.Conditions[j].Type })
		return c
	}
	return !equality.Semantic.DeepEqual(strip(a), strip(b))
}

// imageList is the node's images as they were last listed.
type imageList struct {
	list []v1.ContainerImage
	root string // where the runtime keeps them
	at   time.Time
}

const (
	imagesEvery = time.Minute
	// namesPerImage bounds the status of nodes whose images have many names.
	namesPerImage = 5
)

// listImages gives the largest images, which help the scheduler most.
func (m *Manager) listImages(ctx context.Context, now time.Time) []v1.ContainerImage {
	if m.Images == nil || now.Sub(m.images.at) < imagesEvery {
		return m.images.list
	}
	found, err := m.Images.ListImages(ctx, nil)
	if err != nil {
		return m.images.list
	}
	m.images.at = now
	if usage, err := m.Images.ImageFsInfo(ctx); err == nil && len(usage.GetImageFilesystems()) > 0 {
		m.images.root = usage.ImageFilesystems[0].GetFsId().GetMountpoint()
	}
	sort.SliceStable(found, func(i, j int) bool {
		if found[i].Size != found[j].Size {
			return found[i].Size > found[j].Size
		}
		return found[i].Id < found[j].Id
	})
	if m.MaxImages >= 0 && len(found) > m.MaxImages {
		found = found[:m.MaxImages]
	}
	m.images.list = nil
	for _, image := range found {
		names := append(append([]string{}, image.RepoDigests...), image.RepoTags...)
		if len(names) > namesPerImage {
			names = names[:namesPerImage]
		}
		m.images.list = append(m.images.list, v1.ContainerImage{Names: names, SizeBytes: int64(image.Size)}) // below 2^63
	}
	return m.images.list
}
