package volumes

import (
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// Folders of a volume's kind, below a pod's volumes folder.
const (
	pluginEmptyDir  = "kubernetes.io~empty-dir"
	pluginConfigMap = "kubernetes.io~configmap"
	pluginSecret    = "kubernetes.io~secret"
	pluginDownward  = "kubernetes.io~downward-api"
	pluginProjected = "kubernetes.io~projected"
	pluginLocal     = "kubernetes.io~local-volume"
	pluginNFS       = "kubernetes.io~nfs"
	pluginCSI       = "kubernetes.io~csi"
)

// dirMode is that of the folders above volumes: root's alone.
const dirMode = 0o750

func (m *Manager) podsDir() string { return filepath.Join(m.RootDir, "pods") }

// PodDir is the folder of everything the kubelet keeps for a pod.
func (m *Manager) PodDir(uid types.UID) string {
	return filepath.Join(m.podsDir(), segment(string(uid)))
}

func (m *Manager) volumesDir(uid types.UID) string { return filepath.Join(m.PodDir(uid), "volumes") }

func (m *Manager) volumeDir(uid types.UID, plugin, name string) string {
	return filepath.Join(m.volumesDir(uid), plugin, segment(name))
}

func (m *Manager) subPathsDir(uid types.UID) string {
	return filepath.Join(m.PodDir(uid), "volume-subpaths")
}

// segment makes s one name of a path: what would be another folder becomes a name that cannot exist.
func segment(s string) string {
	if s == "" || s == "." || s == ".." || strings.ContainsAny(s, "/\x00") {
		return "invalid~" + strings.NewReplacer("/", "~", "\x00", "~").Replace(s)
	}
	return s
}
