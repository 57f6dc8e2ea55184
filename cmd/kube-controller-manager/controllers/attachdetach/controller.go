package attachdetach

import (
	"context"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/component-helpers/storage/ephemeral"
	"k8s.io/utils/clock"

	"pilotis.dev/cmd/kube-controller-manager/controllers/claimusers"
	"pilotis.dev/pkg/reconcile"
)

// Options of the controller.
type Options struct {
	// Resync is how often nodes with attachments are looked at without an event; 0: not.
	Resync time.Duration
	// ForceDetach takes volumes from an unhealthy node that did not say for six minutes that it is done with them.
	ForceDetach bool
	Clock       clock.WithTicker
}

// patience is what an unhealthy node gets before its volumes are taken away.
const patience = 6 * time.Minute

const (
	podsByNode          = "attachdetach/node"
	attachmentsByNode   = "attachdetach/attachment-node"
	attachmentsByVolume = "attachdetach/attachment-volume"
)

// Controller attaches and detaches.
type Controller struct {
	*reconcile.Controller
	options     Options
	client      kubernetes.Interface
	recorder    record.EventRecorder
	nodes       corelisters.NodeLister
	nodeInf     cache.SharedIndexInformer
	pods        cache.Indexer
	claims      corelisters.PersistentVolumeClaimLister
	volumes     corelisters.PersistentVolumeLister
	drivers     storagelisters.CSIDriverLister
	attachments cache.SharedIndexInformer
	users       claimusers.Users

	mu sync.Mutex
	// placed are nodes that exclusive volumes are being attached to, by volume, until the cache shows the attachment.
	placed map[string]string
	// memories are by node.
	memories map[string]*memory
}

// New makes the controller; its keys are nodes.
func New(f informers.SharedInformerFactory, client kubernetes.Interface, recorder record.EventRecorder, o Options) (*Controller, error) {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	core, storage := f.Core().V1(), f.Storage().V1()
	users, err := claimusers.New(core.Pods().Informer())
	if err != nil {
		return nil, err
	}
	if err := index(core.Pods().Informer(), storage.VolumeAttachments().Informer()); err != nil {
		return nil, err
	}
	c := &Controller{
		options: o, client: client, recorder: recorder, nodes: core.Nodes().Lister(), nodeInf: core.Nodes().Informer(), pods: core.Pods().Informer().GetIndexer(),
		claims: core.PersistentVolumeClaims().Lister(), volumes: core.PersistentVolumes().Lister(), drivers: storage.CSIDrivers().Lister(),
		attachments: storage.VolumeAttachments().Informer(), users: users,
		placed: map[string]string{}, memories: map[string]*memory{},
	}
	c.Controller = reconcile.New("attach_detach", reconcile.Func(c.reconcile), reconcile.Options{Workers: 4, Clock: o.Clock})
	c.Watch(c.nodeInf, reconcile.ObjectKey)
	c.Watch(core.Pods().Informer(), func(obj any) []reconcile.Key {
		if pod, ok := obj.(*v1.Pod); ok && pod.Spec.NodeName != "" && len(claimusers.Claims(pod)) > 0 {
			return []reconcile.Key{{Name: pod.Spec.NodeName}}
		}
		return nil
	})
	c.Watch(core.PersistentVolumeClaims().Informer(), func(obj any) []reconcile.Key { return c.nodesOf(reconcile.ObjectKey(obj)...) })
	c.Watch(core.PersistentVolumes().Informer(), func(obj any) []reconcile.Key {
		if pv, ok := obj.(*v1.PersistentVolume); ok {
			return c.nodesOf(claimOf(pv)...)
		}
		return nil
	})
	c.Watch(storage.CSIDrivers().Informer(), nil)
	c.Watch(c.attachments, c.ofAttachment)
	return c, nil
}

func index(pods, attachments cache.SharedIndexInformer) error {
	err := pods.AddIndexers(cache.Indexers{podsByNode: func(obj any) ([]string, error) {
		if pod, ok := obj.(*v1.Pod); ok && pod.Spec.NodeName != "" && len(claimusers.Claims(pod)) > 0 {
			return []string{pod.Spec.NodeName}, nil
		}
		return nil, nil
	}})
	if err != nil {
		return err
	}
	return attachments.AddIndexers(cache.Indexers{
		attachmentsByNode: func(obj any) ([]string, error) {
			if a, ok := obj.(*storagev1.VolumeAttachment); ok {
				return []string{a.Spec.NodeName}, nil
			}
			return nil, nil
		},
		attachmentsByVolume: func(obj any) ([]string, error) {
			if a, ok := obj.(*storagev1.VolumeAttachment); ok && a.Spec.Source.PersistentVolumeName != nil {
				return []string{*a.Spec.Source.PersistentVolumeName}, nil
			}
			return nil, nil
		},
	})
}

func claimOf(pv *v1.PersistentVolume) []reconcile.Key {
	if pv.Spec.ClaimRef == nil {
		return nil
	}
	return []reconcile.Key{{Namespace: pv.Spec.ClaimRef.Namespace, Name: pv.Spec.ClaimRef.Name}}
}

// nodesOf are the nodes whose pods use the claims.
func (c *Controller) nodesOf(claims ...reconcile.Key) []reconcile.Key {
	var keys []reconcile.Key
	for _, claim := range claims {
		for _, pod := range c.users.Of(claim) {
			if pod.Spec.NodeName != "" {
				keys = append(keys, reconcile.Key{Name: pod.Spec.NodeName})
			}
		}
	}
	return keys
}

// ofAttachment looks at the attachment's node, and at others that wait for its volume.
func (c *Controller) ofAttachment(obj any) []reconcile.Key {
	a, ok := obj.(*storagev1.VolumeAttachment)
	if !ok {
		return nil
	}
	keys := []reconcile.Key{{Name: a.Spec.NodeName}}
	if a.Spec.Source.PersistentVolumeName == nil {
		return keys
	}
	if pv, err := c.volumes.Get(*a.Spec.Source.PersistentVolumeName); err == nil {
		keys = append(keys, c.nodesOf(claimOf(pv)...)...)
	}
	return keys
}

// situation collects what the caches know of a node.
func (c *Controller) situation(name string) (Situation, error) {
	s := Situation{
		Name: name, Have: map[string]Held{}, Elsewhere: func(volume string) []string { return c.elsewhere(volume, name) },
	}
	if c.options.ForceDetach {
		s.Patience = patience
	}
	node, err := c.nodes.Get(name)
	if reconcile.IgnoreNotFound(err) != nil {
		return s, err
	}
	if err == nil {
		s.Node = node
	}
	found, err := c.attachments.GetIndexer().ByIndex(attachmentsByNode, name)
	if err != nil {
		return s, err
	}
	for _, obj := range found {
		a, ok := obj.(*storagev1.VolumeAttachment)
		if !ok || a.Spec.Source.PersistentVolumeName == nil {
			continue
		}
		// One of another name is not of this controller's making; whose one without a volume was cannot be told.
		pv, err := c.volumes.Get(*a.Spec.Source.PersistentVolumeName)
		if err == nil && pv.Spec.CSI != nil && a.Name == NameOf(pv.Spec.CSI, name) {
			s.Have[pv.Name] = Held{pv, a}
		}
	}
	s.Wanted, err = c.wanted(name)
	return s, err
}

// wanted are the attachable volumes of the node's pods that have not ended.
func (c *Controller) wanted(node string) ([]Volume, error) {
	found, err := c.pods.ByIndex(podsByNode, node)
	if err != nil {
		return nil, err
	}
	var out []Volume
	at := map[string]int{}
	for _, obj := range found {
		pod, ok := obj.(*v1.Pod)
		if !ok || done(pod) {
			continue
		}
		for i := range pod.Spec.Volumes {
			pv := c.volumeOf(pod, &pod.Spec.Volumes[i])
			if pv == nil || !c.attachable(pv) {
				continue
			}
			if _, known := at[pv.Name]; !known {
				at[pv.Name] = len(out)
				out = append(out, Volume{PV: pv})
			}
			v := &out[at[pv.Name]]
			v.Pods = append(v.Pods, pod)
		}
	}
	return out, nil
}

// volumeOf is the volume that a pod's claim is bound to; nil for other volumes, and while it is not bound.
func (c *Controller) volumeOf(pod *v1.Pod, v *v1.Volume) *v1.PersistentVolume {
	name := claimusers.ClaimName(pod, v)
	if name == "" {
		return nil
	}
	claim, err := c.claims.PersistentVolumeClaims(pod.Namespace).Get(name)
	if err != nil || claim.Status.Phase != v1.ClaimBound || claim.Spec.VolumeName == "" || v.Ephemeral != nil && ephemeral.VolumeIsForPod(pod, claim) != nil {
		return nil
	}
	pv, err := c.volumes.Get(claim.Spec.VolumeName)
	if err != nil || pv.Spec.ClaimRef == nil || pv.Spec.ClaimRef.UID != claim.UID {
		return nil
	}
	return pv
}

// attachable tells whether the volume is of a CSI driver that has to attach; a driver that does not say has.
func (c *Controller) attachable(pv *v1.PersistentVolume) bool {
	if pv.Spec.CSI == nil {
		return false
	}
	driver, err := c.drivers.Get(pv.Spec.CSI.Driver)
	return err != nil || driver.Spec.AttachRequired == nil || *driver.Spec.AttachRequired
}

// done tells whether a pod needs its volumes no longer: it ended, or is being deleted and none of its containers runs.
func done(pod *v1.Pod) bool {
	if claimusers.Ended(pod) {
		return true
	}
	if pod.DeletionTimestamp == nil {
		return false
	}
	for _, statuses := range [][]v1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses} {
		for i := range statuses {
			if statuses[i].State.Terminated == nil && statuses[i].State.Waiting == nil {
				return false
			}
		}
	}
	return len(pod.Status.ContainerStatuses) > 0
}

func (c *Controller) elsewhere(volume, node string) []string {
	var nodes []string
	for _, a := range c.attachmentsOf(volume) {
		if a.Spec.NodeName != node {
			nodes = append(nodes, a.Spec.NodeName)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.placed[volume]; other != "" && other != node {
		nodes = append(nodes, other)
	}
	return nodes
}

func (c *Controller) attachmentsOf(volume string) []*storagev1.VolumeAttachment {
	found, err := c.attachments.GetIndexer().ByIndex(attachmentsByVolume, volume)
	if err != nil { // only for an unknown index
		return nil
	}
	var out []*storagev1.VolumeAttachment
	for _, obj := range found {
		if a, ok := obj.(*storagev1.VolumeAttachment); ok {
			out = append(out, a)
		}
	}
	return out
}

func (c *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	s, err := c.situation(key.Name)
	if err != nil {
		return reconcile.Result{}, err
	}
	m := c.recall(s)
	s.Idle = func(attachment string) time.Duration { return c.options.Clock.Since(m.idle[attachment]) }
	plan := PlanNode(s)
	c.tell(s, plan, m)
	if err := c.apply(ctx, s, plan); err != nil {
		return reconcile.Result{}, err
	}
	wait := plan.Wait
	if len(s.Have)+len(s.Wanted) > 0 && c.options.Resync > 0 && (wait == 0 || c.options.Resync < wait) {
		wait = c.options.Resync
	}
	return reconcile.Result{RequeueAfter: wait}, nil
}
