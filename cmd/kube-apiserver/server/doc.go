// Package server puts kube-apiserver together: flags become a configuration, the configuration becomes a chain of
// three servers that ask one another from the left to the right: aggregator → core → custom resources.
package server
