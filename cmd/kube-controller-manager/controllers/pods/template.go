package pods

import (
	"fmt"
	"hash/fnv"
	"maps"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/dump"
)

// FromTemplate makes the pod that template describes, with owner as its controller. Its name is generated from the owner's.
func FromTemplate(template *v1.PodTemplateSpec, namespace string, owner metav1.OwnerReference) *v1.Pod {
	prefix := owner.Name + "-"
	if len(validation.IsDNS1123Subdomain(prefix+"x")) > 0 {
		prefix = owner.Name
	}
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace:       namespace,
		GenerateName:    prefix,
		Labels:          maps.Clone(template.Labels),
		Annotations:     maps.Clone(template.Annotations),
		Finalizers:      append([]string(nil), template.Finalizers...),
		OwnerReferences: []metav1.OwnerReference{owner},
	}}
	template.Spec.DeepCopyInto(&pod.Spec)
	return pod
}

// Hash is a short, label-safe digest of obj. collisions makes it differ after two objects were found to share a digest.
// The result is only ever compared with digests that the same function made and that were stored as a label.
func Hash(obj any, collisions *int32) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%v", dump.ForHash(obj))
	if collisions != nil {
		fmt.Fprintf(h, "%d", *collisions)
	}
	return rand.SafeEncodeString(fmt.Sprint(h.Sum32()))
}
