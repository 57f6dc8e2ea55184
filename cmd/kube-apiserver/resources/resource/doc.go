// Package resource declares the objects of dynamic resource allocation.
package resource
