package server

// The ways of keeping the endpoints of the Service default/kubernetes.
const (
	leaseReconciler = "lease"
	countReconciler = "master-count"
	noReconciler    = "none"
)
