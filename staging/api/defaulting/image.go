package defaulting

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// pullPolicy is Always for an image whose tag moves: "latest", or neither tag nor digest (documentation, "Images").
func pullPolicy(image string) corev1.PullPolicy {
	name, _, digest := strings.Cut(image, "@")
	tag := ""
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		tag = name[i+1:]
	}
	switch {
	case tag == "latest", tag == "" && !digest:
		return corev1.PullAlways
	default:
		return corev1.PullIfNotPresent
	}
}
