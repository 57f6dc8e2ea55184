package kind

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ContainerColumns are the wide columns of everything that holds a pod template.
func ContainerColumns[T Object](spec func(obj T) *corev1.PodSpec) []Column[T] {
	return Wide(
		Text("Containers", func(obj T) string { return ContainerNames(spec(obj)) }),
		Text("Images", func(obj T) string { return ContainerImages(spec(obj)) }),
	)
}

// ContainerNames lists the names of a pod's containers.
func ContainerNames(spec *corev1.PodSpec) string {
	names := make([]string, len(spec.Containers))
	for i := range spec.Containers {
		names[i] = spec.Containers[i].Name
	}
	return strings.Join(names, ",")
}

// ContainerImages lists the images of a pod's containers.
func ContainerImages(spec *corev1.PodSpec) string {
	images := make([]string, len(spec.Containers))
	for i := range spec.Containers {
		images[i] = spec.Containers[i].Image
	}
	return strings.Join(images, ",")
}

// SelectorColumn is the wide column of a label selector.
func SelectorColumn[T Object](selector func(obj T) *metav1.LabelSelector) []Column[T] {
	return Wide(Text("Selector", func(obj T) string { return metav1.FormatLabelSelector(selector(obj)) }))
}

// Columns joins groups of columns.
func Columns[T Object](groups ...[]Column[T]) []Column[T] {
	var all []Column[T]
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}
