// Package node is the kubelet's own Node: it registers it, tells the API how the machine is, renews its lease, and
// keeps the certificates by which the node and the API know each other.
package node
