package defaulting

import (
	appsv1 "k8s.io/api/apps/v1"
)

// ReplicaSet fills a replica set.
func ReplicaSet(r *appsv1.ReplicaSet) {
	pointer(&r.Spec.Replicas, 1)
	PodTemplateSpec(&r.Spec.Template)
}
