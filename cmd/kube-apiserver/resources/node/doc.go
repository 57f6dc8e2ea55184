// Package node declares runtimeclasses.
package node
