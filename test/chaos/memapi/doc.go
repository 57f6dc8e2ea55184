// Package memapi is a Kubernetes API server in memory, for clients in the same process: an http.RoundTripper behind which lie
// resourceVersions, UIDs, optimistic locking, preconditions, generated names, graceful deletion, finalizers, propagation policies,
// subresources, selectors, discovery and watches (with bookmarks and streamed lists). It keeps every version of every object, so
// that a list or a watch can be served as it was some time ago. Nothing in it is random: the same requests in the same order give
// the same names, UIDs and versions.
//
// What it leaves out: validation and defaulting of fields, admission (see Server.Admit), authorization, field ownership.
package memapi
