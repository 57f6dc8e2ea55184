package resources

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
)

// Allocations remember what each pod was admitted or resized with (KEP-1287). A resize that does not fit yet leaves the
// pod as it was, also after the kubelet started anew.
type Allocations struct {
	file string

	mu   sync.Mutex
	pods map[types.UID]Allocation
}

// Allocation is one pod's, by container.
type Allocation map[string]v1.ResourceRequirements

// NewAllocations reads what an earlier kubelet kept in file.
func NewAllocations(file string) (*Allocations, error) {
	a := &Allocations{file: file, pods: map[types.UID]Allocation{}}
	data, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return a, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &a.pods)
	}
	if err != nil {
		return nil, fmt.Errorf("allocations %s: %w: remove the file to take all pods as they are specified now", file, err)
	}
	return a, nil
}

// Wanted is what the pod's specification asks for.
func Wanted(pod *v1.Pod) Allocation {
	out := Allocation{}
	for _, list := range [][]v1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			out[list[i].Name] = v1.ResourceRequirements{Requests: list[i].Resources.Requests, Limits: list[i].Resources.Limits}
		}
	}
	return out
}

// With is the pod with the resources of an allocation; the same object when they are its own.
func (a Allocation) With(pod *v1.Pod) *v1.Pod {
	if equality.Semantic.DeepEqual(a, Wanted(pod)) {
		return pod
	}
	out := pod.DeepCopy()
	for _, list := range [][]v1.Container{out.Spec.InitContainers, out.Spec.Containers} {
		for i := range list {
			if r, ok := a[list[i].Name]; ok {
				list[i].Resources.Requests, list[i].Resources.Limits = r.Requests, r.Limits
			}
		}
	}
	return out
}

// Get is the pod's allocation.
func (a *Allocations) Get(uid types.UID) (Allocation, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	found, ok := a.pods[uid]
	return found, ok
}

// Set keeps the pod's allocation.
func (a *Allocations) Set(uid types.UID, allocation Allocation) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pods[uid] = allocation
	return a.write()
}

// Forget drops a pod that is gone.
func (a *Allocations) Forget(uid types.UID) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.pods[uid]; !ok {
		return nil
	}
	delete(a.pods, uid)
	return a.write()
}

func (a *Allocations) write() error {
	data, err := json.Marshal(a.pods)
	if err != nil {
		return err
	}
	// A torn file would keep the next kubelet from starting.
	if err := os.WriteFile(a.file+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(a.file+".new", a.file)
}
