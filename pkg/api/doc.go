// Package api holds the type system of kube-apiserver: which Go types it serves and how they are kept.
//
// The published v1 types (k8s.io/api) are the hub: the very values that clients send are what lives in memory and,
// in protobuf, under /registry in etcd. There is no internal twin of a type and so no conversion on the way.
// The apiserver library asks for an "__internal" version of each group; the hub type is registered as that too, which
// makes its conversions identities. Two groups have a second served shape and real conversions: autoscaling/v1 and
// events.k8s.io/v1.
package api
