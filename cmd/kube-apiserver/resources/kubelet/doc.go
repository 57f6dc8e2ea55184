// Package kubelet finds a node's kubelet and connects to it.
package kubelet
