package volumes

import (
	"context"
	"fmt"
	"os"
	"time"

	v1 "k8s.io/api/core/v1"

	"pilotis.dev/cmd/kubelet/fields"
)

// defaultMode of files, where neither the item nor the volume says.
const defaultMode = 0o644

// content sets up a volume whose files are made of API objects.
func (m *Manager) content(ctx context.Context, r request) (Mounted, error) {
	files, renew, err := m.collect(ctx, r)
	if err != nil {
		return Mounted{}, err
	}
	if !renew.IsZero() {
		m.queue.AddAfter(r.pod.UID, max(time.Until(renew), time.Second))
	}
	dir, medium := m.contentDir(r)
	// The files need a folder of the kind that an emptyDir has: secrets and tokens must not reach the disk.
	if err := m.emptyDirAt(dir, r.pod, &v1.EmptyDirVolumeSource{Medium: medium}); err != nil {
		return Mounted{}, err
	}
	if err := m.writeContent(dir, r.pod, files); err != nil {
		return Mounted{}, err
	}
	return Mounted{HostPath: dir, ReadOnly: true, SELinuxRelabel: true, SupportsIDMap: true}, nil
}

func (m *Manager) contentDir(r request) (dir string, medium v1.StorageMedium) {
	plugin := pluginConfigMap
	switch v := r.volume; {
	case v.Secret != nil:
		plugin, medium = pluginSecret, v1.StorageMediumMemory
	case v.DownwardAPI != nil:
		plugin, medium = pluginDownward, v1.StorageMediumMemory
	case v.Projected != nil:
		plugin, medium = pluginProjected, v1.StorageMediumMemory
	}
	return m.volumeDir(r.pod.UID, plugin, r.name), medium
}

func (m *Manager) writeContent(dir string, pod *v1.Pod, files content) error {
	group := fsGroup(pod)
	_, err := write(dir, files, func(version string) error {
		if group == nil {
			return nil
		}
		return GiveToGroup(version, *group, true)
	})
	return err
}

// collect makes the files of a volume, and says when they must be made again although nothing changes; zero: never.
func (m *Manager) collect(ctx context.Context, r request) (content, time.Time, error) {
	files := content{}
	switch v := r.volume; {
	case v.ConfigMap != nil:
		s := v.ConfigMap
		return files, time.Time{}, m.addConfigMap(files, r.pod, s.Name, s.Items, s.DefaultMode, s.Optional)
	case v.Secret != nil:
		s := v.Secret
		return files, time.Time{}, m.addSecret(files, r.pod, s.SecretName, s.Items, s.DefaultMode, s.Optional)
	case v.DownwardAPI != nil:
		return files, time.Time{}, m.addDownward(files, r.pod, v.DownwardAPI.Items, v.DownwardAPI.DefaultMode)
	}
	next, err := m.addProjected(ctx, files, r)
	return files, next, err
}

func mode(own, def *int32) os.FileMode {
	switch {
	case own != nil:
		return os.FileMode(*own) & os.ModePerm
	case def != nil:
		return os.FileMode(*def) & os.ModePerm
	}
	return defaultMode
}

func isOptional(p *bool) bool { return p != nil && *p }

func (m *Manager) addConfigMap(files content, pod *v1.Pod, name string, items []v1.KeyToPath, def *int32, optional *bool) error {
	cm, err := m.Objects.ConfigMap(pod.Namespace, name)
	if err != nil {
		return missing(err, optional)
	}
	all := make(map[string][]byte, len(cm.Data)+len(cm.BinaryData))
	for k, v := range cm.Data {
		all[k] = []byte(v)
	}
	for k, v := range cm.BinaryData {
		all[k] = v
	}
	return addItems(files, all, items, def, optional, "configmap references non-existent config key: %s")
}

func (m *Manager) addSecret(files content, pod *v1.Pod, name string, items []v1.KeyToPath, def *int32, optional *bool) error {
	secret, err := m.Objects.Secret(pod.Namespace, name)
	if err != nil {
		return missing(err, optional)
	}
	return addItems(files, secret.Data, items, def, optional, "references non-existent secret key: %s")
}

// missing tolerates an object that does not exist if it is optional.
func missing(err error, optional *bool) error {
	if isOptional(optional) && isNotFound(err) {
		return nil
	}
	return err
}

// addItems takes all keys, or those that items list, under the paths they are given.
func addItems(files content, data map[string][]byte, items []v1.KeyToPath, def *int32, optional *bool, absent string) error {
	if len(items) == 0 {
		for k, v := range data {
			files[k] = file{data: v, mode: mode(nil, def)}
		}
		return nil
	}
	for _, item := range items {
		v, ok := data[item.Key]
		if !ok {
			if isOptional(optional) {
				continue
			}
			return fmt.Errorf(absent, item.Key)
		}
		files[item.Path] = file{data: v, mode: mode(item.Mode, def)}
	}
	return nil
}

// addDownward writes fields of the pod and of its containers' resources.
func (m *Manager) addDownward(files content, pod *v1.Pod, items []v1.DownwardAPIVolumeFile, def *int32) error {
	view := fields.Pod{Pod: pod}
	if m.View != nil {
		if now, ok := m.View(pod.UID); ok {
			view = now
		}
	}
	for _, item := range items {
		var text string
		var err error
		switch {
		case item.FieldRef != nil:
			text, err = view.Value(item.FieldRef.FieldPath)
		case item.ResourceFieldRef != nil:
			text, err = view.Resource(item.ResourceFieldRef, nil, m.allocatable())
		}
		if err != nil {
			return err
		}
		files[item.Path] = file{data: []byte(text), mode: mode(item.Mode, def)}
	}
	return nil
}

func (m *Manager) allocatable() v1.ResourceList {
	if m.Node == nil {
		return nil
	}
	node, err := m.Node()
	if err != nil || node == nil {
		return nil
	}
	return node.Status.Allocatable
}
