// Package apiserverinternal declares the resources of internal.apiserver.k8s.io.
package apiserverinternal
