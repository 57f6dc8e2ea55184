// Package objects keeps the ConfigMaps and Secrets that this node's pods refer to, and their service account tokens.
//
// Each object has a watch of its own, opened by the first pod that refers to it and closed after the last: a node's
// credential may read exactly these objects (the Node authorizer), and the API server is asked nothing while nothing
// changes. An object that says it is immutable is read once (KEP-1412).
package objects
