// Package lifecycle declares the resources of lifecycle.k8s.io (KEP-4563).
package lifecycle
