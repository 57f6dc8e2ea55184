// Package serve is the kubelet's own API: logs, exec, attach and port-forward of containers, statistics and metrics, on
// HTTPS behind the API server's authentication and authorization; and health on a loopback port.
package serve
