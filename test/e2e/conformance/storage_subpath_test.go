package conformance

import (
	"testing"

	v1 "k8s.io/api/core/v1"
)

// atSubPath is a pod that mounts one file or folder of a volume, by subPath.
func (s *space) atSubPath(source v1.VolumeSource, subPath, mountPath string) *v1.Pod {
	return s.mounting([]v1.VolumeSource{source}, func(p *v1.Pod) {
		p.Spec.Containers[0].VolumeMounts[0].SubPath, p.Spec.Containers[0].VolumeMounts[0].MountPath = subPath, mountPath
	})
}

func TestSubPathsOfContent(t *testing.T) {
	inFolder := []v1.KeyToPath{{Key: "key", Path: "folder/key"}}
	name := []v1.DownwardAPIVolumeFile{{Path: "folder/key", FieldRef: &v1.ObjectFieldSelector{FieldPath: "metadata.name"}}}
	for _, c := range []struct {
		behaviour, content string
		source             v1.VolumeSource
	}{
		{"configmap", "value-1", contentKinds["ConfigMap"]("object", inFolder, nil, false)},
		{"secret", "value-1", contentKinds["Secrets"]("object", inFolder, nil, false)},
		{"projected", "value-1", contentKinds["Projected configMap"]("object", inFolder, nil, false)},
		{"downward", "p", downwardKinds["Downward API volume"](name, nil)},
	} {
		t.Run(c.behaviour, func(t *testing.T) {
			s := behaviour(t, "[sig-storage] Subpath Atomic writer volumes should support subpaths with "+c.behaviour+" pod")
			s.keeps("ConfigMap", "object", "key", "value-1")
			s.keeps("Secrets", "object", "key", "value-1")
			pod := s.start(s.atSubPath(c.source, "folder", "/sub"))
			s.holds(pod, "/sub/key", c.content, "-rw-r--r--")
		})
	}
}

// The image has a file at the mount path.
func TestSubPathOverAFile(t *testing.T) {
	s := behaviour(t, "[sig-storage] Subpath Atomic writer volumes should support subpaths with configmap pod with mountPath of existing file")
	s.keeps("ConfigMap", "object", "key", "value-1")
	pod := s.start(s.atSubPath(contentKinds["ConfigMap"]("object", nil, nil, false), "key", "/bin/testserver"))
	s.holds(pod, "/bin/testserver", "value-1", "-rw-r--r--")
}
