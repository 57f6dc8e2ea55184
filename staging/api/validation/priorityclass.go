package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What priorities mean (KEP-564 and API reference, PriorityClass).
const (
	systemPrefix        = "system-"
	maxUserPriority     = 1000000000
	systemClusterClass  = "system-cluster-critical"
	systemNodeClass     = "system-node-critical"
	systemClusterWeight = 2 * maxUserPriority
	systemNodeWeight    = systemClusterWeight + 1000
)

func priorityClassCreate(c *schedulingv1.PriorityClass) *faults {
	f := metadata(&c.ObjectMeta, cluster, subdomainName)
	if strings.HasPrefix(c.Name, systemPrefix) {
		known := c.Name == systemClusterClass && c.Value == systemClusterWeight || c.Name == systemNodeClass && c.Value == systemNodeWeight
		if !known || c.GlobalDefault {
			f.forbidden(field.NewPath("metadata"), "name", fmt.Sprintf("priority class names with '%s' prefix are reserved for system use only. error: %s is not a known system priority class", systemPrefix, c.Name))
		}
	} else if c.Value > maxUserPriority {
		f.forbidden(nil, "value", fmt.Sprintf("maximum allowed value of a user defined priority is %d", maxUserPriority))
	}
	preemption(f, c)
	return f
}

func priorityClassUpdate(c, old *schedulingv1.PriorityClass) *faults {
	f := metadataUpdate(&c.ObjectMeta, &old.ObjectMeta)
	if c.Value != old.Value {
		f.forbidden(nil, "Value", "may not be changed in an update.")
	}
	f.immutable(nil, "preemptionPolicy", c.PreemptionPolicy, old.PreemptionPolicy)
	return f
}

func preemption(f *faults, c *schedulingv1.PriorityClass) {
	if c.PreemptionPolicy != nil {
		oneOf(f, nil, "preemptionPolicy", *c.PreemptionPolicy, corev1.PreemptLowerPriority, corev1.PreemptNever)
	}
}
