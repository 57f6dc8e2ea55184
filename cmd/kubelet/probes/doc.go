// Package probes asks containers how they are: startup, liveness and readiness probes by command, HTTP, TCP and gRPC
// (https://kubernetes.io/docs/concepts/workloads/pods/probes/).
//
// One goroutine serves one probe of one running container; it sleeps between attempts, and ends with the container.
// A result counts when as many attempts in a row agree as the probe's threshold says. Until the startup probe has
// succeeded the others wait.
package probes
