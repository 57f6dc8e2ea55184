package node

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"runtime"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// annotationAttach says that the attach/detach controller attaches this node's volumes.
const annotationAttach = "volumes.kubernetes.io/controller-managed-attach-detach"

// annotationProvidedIP hands --node-ip to a cloud controller manager.
const annotationProvidedIP = "alpha.kubernetes.io/provided-node-ip"

// taintUninitialized keeps pods away until a cloud controller manager has completed the Node.
var taintUninitialized = v1.Taint{Key: "node.cloudprovider.kubernetes.io/uninitialized", Value: "true", Effect: v1.TaintEffectNoSchedule}

func nodeUID(name string) types.UID { return types.UID(name) }

// template is the Node to register.
func (m *Manager) template() *v1.Node {
	node := &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: m.Name, Labels: map[string]string{}, Annotations: map[string]string{annotationAttach: "true"}},
		Spec:       v1.NodeSpec{Unschedulable: m.Unschedulable, ProviderID: m.ProviderID},
	}
	maps.Copy(node.Labels, m.Labels)
	maps.Copy(node.Labels, m.ownLabels())
	node.Spec.Taints = append(node.Spec.Taints, m.Taints...)
	if m.ExternalCloud {
		node.Spec.Taints = append(node.Spec.Taints, taintUninitialized)
	}
	if m.Unschedulable {
		node.Spec.Taints = append(node.Spec.Taints, v1.Taint{Key: v1.TaintNodeUnschedulable, Effect: v1.TaintEffectNoSchedule})
	}
	m.setMachine(node)
	m.setAddresses(node)
	return node
}

// ownLabels are those that only the node knows.
func (m *Manager) ownLabels() map[string]string {
	return map[string]string{v1.LabelHostname: m.Name, v1.LabelOSStable: runtime.GOOS, v1.LabelArchStable: runtime.GOARCH}
}

// ensureRegistered creates the Node once, or brings one that exists up to date with this kubelet's labels.
func (m *Manager) ensureRegistered(ctx context.Context) error {
	m.mu.Lock()
	done := m.registered
	m.mu.Unlock()
	if done {
		return nil
	}
	nodes := m.Client.CoreV1().Nodes()
	var node *v1.Node
	var err error
	if m.Register {
		initial := m.initial.DeepCopy()
		m.setStatus(ctx, initial)
		node, err = nodes.Create(ctx, initial, metav1.CreateOptions{})
		if err == nil {
			m.flush()
			klog.FromContext(ctx).Info("Registered the node", "node", klog.KObj(node))
		}
	}
	if !m.Register || apierrors.IsAlreadyExists(err) || apierrors.IsForbidden(err) {
		registering := err
		if node, err = nodes.Get(ctx, m.Name, metav1.GetOptions{}); err != nil && registering != nil && !apierrors.IsAlreadyExists(registering) {
			err = registering
		}
		if err == nil && m.Register {
			node, err = m.reconcile(ctx, node)
		}
	}
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.registered = true
	if m.latest == nil {
		m.latest = node
	}
	return nil
}

// reconcile gives a Node that exists this kubelet's labels and annotations. Taints stay as they are: they may have
// been taken away on purpose.
func (m *Manager) reconcile(ctx context.Context, node *v1.Node) (*v1.Node, error) {
	next := node.DeepCopy()
	if next.Labels == nil {
		next.Labels = map[string]string{}
	}
	if next.Annotations == nil {
		next.Annotations = map[string]string{}
	}
	maps.Copy(next.Labels, m.ownLabels())
	next.Annotations[annotationAttach] = "true"
	if equality.Semantic.DeepEqual(node.ObjectMeta, next.ObjectMeta) {
		return node, nil
	}
	before, err := json.Marshal(&v1.Node{ObjectMeta: node.ObjectMeta})
	if err != nil {
		return nil, err
	}
	after, err := json.Marshal(&v1.Node{ObjectMeta: next.ObjectMeta})
	if err != nil {
		return nil, err
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, &v1.Node{})
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", m.Name, err)
	}
	return m.Client.CoreV1().Nodes().Patch(ctx, m.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
}

// follow keeps the Node as the API has it.
func (m *Manager) follow(ctx context.Context) {
	only := fields.OneTermEqualSelector(metav1.ObjectNameField, m.Name).String()
	source := cache.ToListWatcherWithWatchListSemantics(listWatch(m.Client, only), m.Client)
	cache.NewReflectorWithOptions(source, &v1.Node{}, latestStore{m}, cache.ReflectorOptions{Name: "kubelet node"}).RunWithContext(ctx)
}

func listWatch(client kubernetes.Interface, only string) *cache.ListWatch {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (apiruntime.Object, error) {
			o.FieldSelector = only
			return client.CoreV1().Nodes().List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = only
			return client.CoreV1().Nodes().Watch(ctx, o)
		},
	}
}

// latestStore takes over what the watch of the Node says.
type latestStore struct{ m *Manager }

func (s latestStore) set(node *v1.Node) {
	s.m.mu.Lock()
	gone := node == nil && s.m.latest != nil
	s.m.latest = node
	if gone {
		s.m.registered = false // an administrator deleted it: a node that runs registers again
	}
	s.m.mu.Unlock()
	if gone {
		s.m.Update()
	}
}

func (s latestStore) Add(obj any) error    { s.set(obj.(*v1.Node)); return nil }
func (s latestStore) Update(obj any) error { s.set(obj.(*v1.Node)); return nil }
func (s latestStore) Delete(any) error     { s.set(nil); return nil }
func (s latestStore) Resync() error        { return nil }

func (s latestStore) Replace(list []any, _ string) error {
	if len(list) == 0 {
		s.set(nil)
		return nil
	}
	s.set(list[0].(*v1.Node))
	return nil
}
