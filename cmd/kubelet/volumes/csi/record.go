package csi

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	v1 "k8s.io/api/core/v1"
)

// recordFile lies in a volume's folder.
const recordFile = "vol_data.json"

// record is what Unmount needs to know. The names are those of other kubelets, which may have written it.
type record struct {
	VolumeName string `json:"specVolID"`
	Handle     string `json:"volumeHandle"`
	Driver     string `json:"driverName"`
	Node       string `json:"nodeName"`
	Attachment string `json:"attachmentID,omitempty"`
	Lifecycle  string `json:"volumeLifecycleMode"`
	Staging    string `json:"stagingPath,omitempty"`
	Block      bool   `json:"block,omitempty"`
}

var errNoRecord = errors.New("no " + recordFile)

func readRecord(dir string) (*record, error) {
	data, err := os.ReadFile(filepath.Join(dir, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoRecord
	}
	if err != nil {
		return nil, err
	}
	return parseRecord(data)
}

func parseRecord(data []byte) (*record, error) {
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", recordFile, err)
	}
	if r.Driver == "" || r.Handle == "" {
		return nil, fmt.Errorf("%s names no driver or volume", recordFile)
	}
	return &r, nil
}

func (r *record) write(dir string) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, recordFile), data, 0o600)
}

// records finds the volumes of all pods, by folder.
func (m *Manager) records() map[string]*record {
	found := map[string]*record{}
	dirs, _ := filepath.Glob(filepath.Join(m.RootDir, "pods", "*", "volumes", "kubernetes.io~csi", "*"))
	for _, dir := range dirs {
		if r, err := readRecord(dir); err == nil {
			found[dir] = r
		}
	}
	return found
}

// uniqueName is how the node's status and the attach controller call the volume.
func (r record) uniqueName() v1.UniqueVolumeName {
	return v1.UniqueVolumeName("kubernetes.io/csi/" + r.Driver + "^" + r.Handle)
}

// InUse lists the attached volumes that pods of this node use: they must not be detached.
func (m *Manager) InUse() []v1.UniqueVolumeName {
	seen := map[v1.UniqueVolumeName]bool{}
	var out []v1.UniqueVolumeName
	for _, r := range m.records() {
		name := r.uniqueName()
		if r.Attachment != "" && !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// stagingDir is where a volume is staged, once for the whole node.
func (m *Manager) stagingDir(driver, handle string) string {
	return filepath.Join(m.RootDir, "plugins", "kubernetes.io", "csi", driver, fmt.Sprintf("%x", sha256.Sum256([]byte(handle))), "globalmount")
}

// attachmentName is the name of the VolumeAttachment that the attach controller makes.
func attachmentName(handle, driver, node string) string {
	return fmt.Sprintf("csi-%x", sha256.Sum256([]byte(handle+driver+node)))
}

// inlineHandle names a volume that lives as long as its pod.
func inlineHandle(podUID, volume string) string {
	return fmt.Sprintf("csi-%x", sha256.Sum256([]byte(podUID+volume)))
}
