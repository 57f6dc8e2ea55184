// Package proxied passes requests on to kubelets, pods and services, and keeps them from reaching this machine's own
// private addresses.
package proxied
