package volumes

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// memoryMounter remembers mounts instead of making them.
type memoryMounter struct {
	mounts []string          // in order
	types  map[string]string // target to filesystem and options
	bound  map[string]string // target to the bound file's path when it was bound
	busy   map[string]bool
}

func newMemoryMounter() *memoryMounter {
	return &memoryMounter{types: map[string]string{}, bound: map[string]string{}, busy: map[string]bool{}}
}

func (f *memoryMounter) Mount(_, target, fstype string, options []string) error {
	f.mounts = append(f.mounts, target)
	f.types[target] = fstype + " " + strings.Join(options, ",")
	return nil
}

func (f *memoryMounter) Bind(fd int, target string, readOnly bool) error {
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	f.mounts = append(f.mounts, target)
	f.bound[target] = path
	return err
}

func (f *memoryMounter) Mounted(path string) (bool, error) {
	return slices.Contains(f.mounts, path), nil
}

func (f *memoryMounter) Unmount(target string) error {
	if f.busy[target] {
		return unix.EBUSY
	}
	f.mounts = slices.DeleteFunc(f.mounts, func(m string) bool { return m == target })
	return nil
}

func (f *memoryMounter) Below(dir string) ([]string, error) {
	var out []string
	for _, m := range f.mounts {
		if m == dir || strings.HasPrefix(m, dir+"/") {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return len(b) - len(a) })
	return out, nil
}

// objectMap serves ConfigMaps and Secrets from memory.
type objectMap struct {
	configMaps map[string]*v1.ConfigMap
	secrets    map[string]*v1.Secret
}

func (o objectMap) ConfigMap(_, name string) (*v1.ConfigMap, error) {
	if cm := o.configMaps[name]; cm != nil {
		return cm, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "configmaps"}, name)
}

func (o objectMap) Secret(_, name string) (*v1.Secret, error) {
	if s := o.secrets[name]; s != nil {
		return s, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, name)
}

// world is a manager over a temporary folder.
func world(t *testing.T) (*Manager, *memoryMounter, objectMap) {
	t.Helper()
	objects := objectMap{configMaps: map[string]*v1.ConfigMap{}, secrets: map[string]*v1.Secret{}}
	mounts := newMemoryMounter()
	return New(Config{RootDir: t.TempDir(), Objects: objects, mounter: mounts}), mounts, objects
}

// podOf is a pod whose container mounts all the volumes given.
func podOf(volumes ...v1.Volume) *v1.Pod {
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "ns", UID: "u1", Labels: map[string]string{"app": "web"}}, Spec: v1.PodSpec{Volumes: volumes, Containers: []v1.Container{{Name: "app"}}}}
	for _, v := range volumes {
		pod.Spec.Containers[0].VolumeMounts = append(pod.Spec.Containers[0].VolumeMounts, v1.VolumeMount{Name: v.Name, MountPath: "/" + v.Name})
	}
	return pod
}
