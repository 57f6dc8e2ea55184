package server

import "k8s.io/apimachinery/pkg/runtime/schema"

// apiGroup is a served group with its place in discovery. priority is the groupPriorityMinimum of its APIServices:
// clients that look for a short name take the group with the highest.
type apiGroup struct {
	name     string
	versions []string
	priority int32
}

// groupOrder is the order of groups that clients of Kubernetes know.
func groupOrder() []apiGroup {
	v1 := []string{"v1"}
	return []apiGroup{
		{"", v1, 18000},
		{"apps", v1, 17800},
		{"events.k8s.io", v1, 17750},
		{"authentication.k8s.io", v1, 17700},
		{"authorization.k8s.io", v1, 17600},
		{"autoscaling", []string{"v2", "v1"}, 17500},
		{"batch", v1, 17400},
		{"certificates.k8s.io", []string{"v1", "v1beta1"}, 17300},
		{"networking.k8s.io", v1, 17200},
		{"policy", v1, 17100},
		{"rbac.authorization.k8s.io", v1, 17000},
		{"storage.k8s.io", v1, 16800},
		{"storagemigration.k8s.io", []string{"v1", "v1beta1"}, 16850},
		{"apiextensions.k8s.io", v1, 16700},
		{"admissionregistration.k8s.io", []string{"v1", "v1beta1", "v1alpha1"}, 16700},
		{"scheduling.k8s.io", []string{"v1", "v1beta1", "v1alpha3"}, 16600},
		{"coordination.k8s.io", []string{"v1", "v1beta1", "v1alpha2"}, 16500},
		{"node.k8s.io", v1, 16300},
		{"discovery.k8s.io", v1, 16200},
		{"flowcontrol.apiserver.k8s.io", v1, 16100},
		{"resource.k8s.io", []string{"v1", "v1beta2", "v1beta1", "v1alpha3"}, 16050},
		{"internal.apiserver.k8s.io", []string{"v1alpha1"}, 16000},
		{"lifecycle.k8s.io", []string{"v1alpha1"}, 15950},
	}
}

// versionPriority orders the versions of a group: the first is the best.
func (g apiGroup) versionPriority(i int) int32 { return int32(15 - i) }

func (g apiGroup) groupVersion(i int) schema.GroupVersion {
	return schema.GroupVersion{Group: g.name, Version: g.versions[i]}
}
