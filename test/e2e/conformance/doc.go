// Package conformance holds a test for each behaviour that a conformant cluster must show (behaviours.yaml), and of what
// Kubernetes documents beyond that (behaviours_more.yaml). A test says with behaviour or documented which one it proves;
// docs/conformance.md lists all behaviours with their tests.
//
// Tests run at once, each in a namespace of its own, against the cluster that KUBECONFIG names.
package conformance
