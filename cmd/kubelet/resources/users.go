package resources

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// UserMapping is the range of the node's user and group IDs that a pod's 0…Length-1 stand for.
type UserMapping struct {
	HostID uint32 `json:"hostId"`
	Length uint32 `json:"length"`
}

// UserNamespaces gives each pod with hostUsers: false a range of IDs of its own (KEP-127). Ranges survive the kubelet
// in a file of the pod's folder, so that two pods never share one.
type UserNamespaces struct {
	dir   string // of pods' folders
	first uint32
	size  uint32 // IDs a pod
	count uint32 // ranges there are

	mu     sync.Mutex
	ranges map[types.UID]uint32 // which range
}

// mappingFile lies in the pod's folder.
const mappingFile = "userns"

// NewUserNamespaces reads the ranges of pods that an earlier kubelet gave. The first size IDs are the host's own.
func NewUserNamespaces(podsDir string, size uint32, maxPods int) (*UserNamespaces, error) {
	// Every pod has its range, and some more that end while others begin; the IDs must fit into 32 bits.
	count := min(uint32(max(maxPods, 1))*2, (1<<32-1)/size-1) // few
	u := &UserNamespaces{dir: podsDir, first: size, size: size, count: count, ranges: map[types.UID]uint32{}}
	entries, err := os.ReadDir(podsDir)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(podsDir, e.Name(), mappingFile))
		if os.IsNotExist(err) {
			continue
		}
		var m UserMapping
		if err == nil {
			err = json.Unmarshal(data, &m)
		}
		if err == nil && (m.Length != size || m.HostID < u.first || (m.HostID-u.first)%size != 0) {
			err = fmt.Errorf("it maps %d IDs from %d on: expected %d from a multiple of it on; end the pod before userNamespaces.idsPerPod is changed", m.Length, m.HostID, size)
		}
		if err != nil {
			return nil, fmt.Errorf("user namespace of pod %s: %w", e.Name(), err)
		}
		u.ranges[types.UID(e.Name())] = (m.HostID - u.first) / size
	}
	return u, nil
}

// Assign gives the pod's range, the same at each call until Release.
func (u *UserNamespaces) Assign(uid types.UID) (UserMapping, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if r, ok := u.ranges[uid]; ok {
		return u.mapping(r), nil
	}
	taken := make(map[uint32]bool, len(u.ranges))
	for _, r := range u.ranges {
		taken[r] = true
	}
	for r := range u.count {
		if taken[r] {
			continue
		}
		m := u.mapping(r)
		data, err := json.Marshal(m)
		if err != nil {
			return UserMapping{}, err
		}
		dir := filepath.Join(u.dir, string(uid))
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return UserMapping{}, err
		}
		// A torn file would keep the next kubelet from starting.
		if err := os.WriteFile(filepath.Join(dir, mappingFile+".new"), data, 0o640); err != nil {
			return UserMapping{}, err
		}
		if err := os.Rename(filepath.Join(dir, mappingFile+".new"), filepath.Join(dir, mappingFile)); err != nil {
			return UserMapping{}, err
		}
		u.ranges[uid] = r
		return m, nil
	}
	return UserMapping{}, fmt.Errorf("all %d ranges of user IDs are taken: end other pods with hostUsers: false", u.count)
}

func (u *UserNamespaces) mapping(r uint32) UserMapping {
	return UserMapping{HostID: u.first + r*u.size, Length: u.size}
}

// Release takes the range back from a pod that is gone, with its folder.
func (u *UserNamespaces) Release(uid types.UID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.ranges, uid)
}
