package volumes

import (
	"fmt"
	"os"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"
)

// emptyDir makes a folder that lives as long as the pod: on disk, in memory, or in huge pages.
func (m *Manager) emptyDir(r request) (Mounted, error) {
	source := r.volume.EmptyDir
	dir := m.volumeDir(r.pod.UID, pluginEmptyDir, r.name)
	if err := m.emptyDirAt(dir, r.pod, source); err != nil {
		return Mounted{}, err
	}
	return Mounted{HostPath: dir, SELinuxRelabel: true, SupportsIDMap: source.Medium == v1.StorageMediumDefault || source.Medium == v1.StorageMediumMemory}, nil
}

func (m *Manager) emptyDirAt(dir string, pod *v1.Pod, source *v1.EmptyDirVolumeSource) error {
	_, err := os.Lstat(dir)
	fresh := os.IsNotExist(err)
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	mounted, err := m.mounter.Mounted(dir)
	if err != nil {
		return err
	}
	if !mounted {
		switch medium := source.Medium; {
		case medium == v1.StorageMediumMemory:
			options := []string{"mode=0777"}
			if size := m.memorySize(pod, source.SizeLimit); size > 0 {
				options = append(options, fmt.Sprintf("size=%d", size))
			}
			if err := m.tmpfs(dir, options); err != nil {
				return err
			}
			fresh = true
		case medium == v1.StorageMediumHugePages || strings.HasPrefix(string(medium), string(v1.StorageMediumHugePagesPrefix)):
			size, err := pageSize(pod, medium)
			if err != nil {
				return err
			}
			if err := m.mounter.Mount("nodev", dir, "hugetlbfs", []string{"pagesize=" + size}); err != nil {
				return err
			}
			fresh = true
		case medium != v1.StorageMediumDefault:
			return fmt.Errorf("unknown storage medium %q", medium)
		}
	}
	if !fresh {
		return nil
	}
	if err := os.Chmod(dir, 0o777); err != nil { // MkdirAll is subject to the umask
		return err
	}
	return m.applyFSGroup(dir, pod)
}

// tmpfs mounts memory that is never swapped out where the kernel can promise that (6.3 and newer).
func (m *Manager) tmpfs(dir string, options []string) error {
	if err := m.mounter.Mount("tmpfs", dir, "tmpfs", append(options, "noswap")); err == nil {
		return nil
	}
	return m.mounter.Mount("tmpfs", dir, "tmpfs", options)
}

// memorySize is the least of what the volume, the pod and the node allow, in bytes (KEP-1967); 0: no limit is known.
func (m *Manager) memorySize(pod *v1.Pod, limit *resource.Quantity) int64 {
	size := int64(0)
	less := func(q *resource.Quantity) {
		if q != nil && q.Value() > 0 && (size == 0 || q.Value() < size) {
			size = q.Value()
		}
	}
	if m.Node != nil {
		if node, err := m.Node(); err == nil && node != nil {
			less(node.Status.Allocatable.Memory())
		}
	}
	all := true
	for _, c := range pod.Spec.Containers {
		q := c.Resources.Limits[v1.ResourceMemory]
		all = all && !q.IsZero()
	}
	if all {
		limits := resourcehelper.PodLimits(pod, resourcehelper.PodResourcesOptions{})
		less(limits.Memory())
	}
	less(limit)
	return size
}

// pageSize is the page size that the medium names, or the only one that the pod's containers ask for.
func pageSize(pod *v1.Pod, medium v1.StorageMedium) (string, error) {
	if size, ok := strings.CutPrefix(string(medium), string(v1.StorageMediumHugePagesPrefix)); ok {
		return bytesOf(size)
	}
	found := ""
	for _, list := range [][]v1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range list {
			for name := range c.Resources.Requests {
				size, ok := strings.CutPrefix(string(name), v1.ResourceHugePagesPrefix)
				if !ok {
					continue
				}
				if found != "" && found != size {
					return "", fmt.Errorf("medium HugePages is ambiguous: the pod asks for pages of %s and %s; use medium HugePages-%s", found, size, size)
				}
				found = size
			}
		}
	}
	if found == "" {
		return "", fmt.Errorf("medium HugePages needs a container that requests %s<size>", v1.ResourceHugePagesPrefix)
	}
	return bytesOf(found)
}

func bytesOf(size string) (string, error) {
	q, err := resource.ParseQuantity(size)
	if err != nil {
		return "", fmt.Errorf("page size %q: %w", size, err)
	}
	return fmt.Sprint(q.Value()), nil
}
