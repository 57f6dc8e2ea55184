package snapshot

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kube-scheduler/framework"
)

// Node is a node with its pods and their sums. A Node in a Snapshot is never changed.
type Node struct {
	*v1.Node
	Pods []*Pod
	// Affine are the pods with affinity terms, Averse those with required anti-affinity: the few that inter-pod
	// rules look at.
	Affine, Averse []*Pod

	Requested                    Resource
	ScoredMilliCPU, ScoredMemory int64
	Allocatable                  Resource
	Ports                        framework.HostPortInfo
	Images                       map[string]int64 // size in bytes by each name of an image
	// Claims counts the pods that use each PersistentVolumeClaim, by namespace/name.
	Claims map[types.NamespacedName]int
}

func newNode(n *v1.Node) *Node {
	node := &Node{Ports: framework.HostPortInfo{}, Claims: map[types.NamespacedName]int{}}
	node.set(n)
	return node
}

func (n *Node) set(node *v1.Node) {
	n.Node = node
	n.Allocatable = NewResource(node.Status.Allocatable)
	n.Images = make(map[string]int64, len(node.Status.Images))
	for _, image := range node.Status.Images {
		for _, name := range image.Names {
			n.Images[name] = image.SizeBytes
		}
	}
}

func (n *Node) add(p *Pod) {
	n.Pods = append(n.Pods, p)
	if p.HasAffinity() {
		n.Affine = append(n.Affine, p)
	}
	if len(p.RequiredAntiAffinity) > 0 {
		n.Averse = append(n.Averse, p)
	}
	n.account(p, 1)
}

func (n *Node) remove(uid types.UID) {
	i := slices.IndexFunc(n.Pods, func(p *Pod) bool { return p.UID == uid })
	if i < 0 {
		return
	}
	p := n.Pods[i]
	n.Pods = slices.Delete(n.Pods, i, i+1)
	n.Affine = without(n.Affine, uid)
	n.Averse = without(n.Averse, uid)
	n.account(p, -1)
}

func (n *Node) account(p *Pod, sign int64) {
	n.Requested.add(p.Request, sign)
	n.ScoredMilliCPU += sign * p.ScoredMilliCPU
	n.ScoredMemory += sign * p.ScoredMemory
	for _, port := range p.HostPorts() {
		if sign > 0 {
			n.Ports.Add(port.HostIP, string(port.Protocol), port.HostPort)
		} else {
			n.Ports.Remove(port.HostIP, string(port.Protocol), port.HostPort)
		}
	}
	for _, v := range p.Spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		key := types.NamespacedName{Namespace: p.Namespace, Name: v.PersistentVolumeClaim.ClaimName}
		if n.Claims[key] += int(sign); n.Claims[key] == 0 {
			delete(n.Claims, key)
		}
	}
}

func without(pods []*Pod, uid types.UID) []*Pod {
	return slices.DeleteFunc(pods, func(p *Pod) bool { return p.UID == uid })
}

// clone shares nothing that add, remove or set change.
func (n *Node) clone() *Node {
	c := *n
	c.Pods, c.Affine, c.Averse = slices.Clone(n.Pods), slices.Clone(n.Affine), slices.Clone(n.Averse)
	c.Requested = n.Requested.clone()
	c.Ports = framework.HostPortInfo{}
	for ip, ports := range n.Ports {
		m := make(map[framework.ProtocolPort]struct{}, len(ports))
		for port := range ports {
			m[port] = struct{}{}
		}
		c.Ports[ip] = m
	}
	c.Claims = make(map[types.NamespacedName]int, len(n.Claims))
	for k, v := range n.Claims {
		c.Claims[k] = v
	}
	return &c
}

// Without is the node as it would be without the pods, With as it would be with one more.
func (n *Node) Without(pods ...*Pod) *Node {
	c := n.clone()
	for _, p := range pods {
		c.remove(p.UID)
	}
	return c
}

func (n *Node) With(pods ...*Pod) *Node {
	c := n.clone()
	for _, p := range pods {
		c.add(p)
	}
	return c
}
