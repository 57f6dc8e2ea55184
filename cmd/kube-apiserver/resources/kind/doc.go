// Package kind turns one readable declaration of a resource into the storage that serves it.
//
// A Kind says what is particular: its names and scope, what a create or update may set, what bumps the generation,
// what a status update may touch, which fields can be selected, what kubectl prints. What all resources have in common
// (generic storage, server-side apply, garbage collection, tables, watch) comes from k8s.io/apiserver.
package kind
