package validation

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// volumes checks a pod's volumes and remembers them for mounts.
func volumes(f *faults, list []corev1.Volume, c *podContext, p *field.Path) {
	if len(list) == 0 {
		return
	}
	c.volumes = make(map[string]*corev1.Volume, len(list))
	for i := range list {
		v := &list[i]
		at := p.Index(i)
		volumeSource(f, &v.VolumeSource, c, at)
		if !f.present(at, "name", v.Name) {
			continue
		}
		f.dnsLabel(at, "name", v.Name)
		if _, ok := c.volumes[v.Name]; ok {
			f.duplicate(at, "name", v.Name)
			continue
		}
		c.volumes[v.Name] = v
	}
}

func volumeSource(f *faults, s *corev1.VolumeSource, c *podContext, p *field.Path) {
	one := choice{f: f, path: p, noun: "volume type"}
	localVolume(f, s, &one, c, p)
	if s.PersistentVolumeClaim != nil && one.first("persistentVolumeClaim") {
		f.present(p.Child("persistentVolumeClaim"), "claimName", s.PersistentVolumeClaim.ClaimName)
	}
	if s.CSI != nil && one.first("csi") {
		at := p.Child("csi")
		driverName(f, s.CSI.Driver, at, "driver")
		if s.CSI.NodePublishSecretRef != nil {
			if s.CSI.NodePublishSecretRef.Name == "" {
				f.required(at.Child("nodePublishSecretRef"), "name", "")
			} else {
				f.dnsSubdomain(at, "name", s.CSI.NodePublishSecretRef.Name)
			}
		}
	}
	if s.Ephemeral != nil && one.first("ephemeral") {
		if t := s.Ephemeral.VolumeClaimTemplate; t == nil {
			f.required(p.Child("ephemeral"), "volumeClaimTemplate", "")
		} else {
			at := p.Child("ephemeral").Child("volumeClaimTemplate")
			templateMetadata(f, &t.ObjectMeta, at.Child("metadata"))
			claimTemplateMetadata(f, t, at.Child("metadata"))
			claimSpec(f, &t.Spec, at.Child("spec"), true)
		}
	}
	if s.Image != nil && one.first("image") {
		f.present(p.Child("image"), "reference", s.Image.Reference)
		if s.Image.PullPolicy != "" {
			oneOf(f, p.Child("image"), "pullPolicy", s.Image.PullPolicy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
		}
	}
	remoteVolume(f, s, &one, p)
	one.done()
}

// claimTemplateMetadata allows only labels and annotations: the pod gives name, namespace and owner.
func claimTemplateMetadata(f *faults, t *corev1.PersistentVolumeClaimTemplate, p *field.Path) {
	for _, part := range []struct {
		name string
		set  bool
	}{
		{"name", t.Name != ""},
		{"generateName", t.GenerateName != ""},
		{"namespace", t.Namespace != ""},
		{"ownerReferences", len(t.OwnerReferences) > 0},
		{"finalizers", len(t.Finalizers) > 0},
	} {
		if part.set {
			f.forbidden(p, part.name, "cannot be set for an Ephemeral Volume")
		}
	}
}

// localVolume checks the volumes that a kubelet makes itself.
func localVolume(f *faults, s *corev1.VolumeSource, one *choice, c *podContext, p *field.Path) {
	if s.EmptyDir != nil && one.first("emptyDir") {
		if l := s.EmptyDir.SizeLimit; l != nil && l.Sign() < 0 {
			f.forbidden(p.Child("emptyDir"), "sizeLimit", "SizeLimit field must be a valid resource quantity")
		}
		if m := s.EmptyDir.Mode; m != nil {
			fileMode(f, m, p.Child("emptyDir"), "mode")
		}
	}
	if s.HostPath != nil && one.first("hostPath") {
		hostPath(f, s.HostPath, p.Child("hostPath"))
	}
	if s.GitRepo != nil && one.first("gitRepo") {
		at := p.Child("gitRepo")
		f.present(at, "repository", s.GitRepo.Repository)
		descendingPath(f, s.GitRepo.Directory, at, "directory")
	}
	if s.Secret != nil && one.first("secret") {
		at := p.Child("secret")
		f.present(at, "secretName", s.Secret.SecretName)
		filesMode(f, s.Secret.DefaultMode, at)
		owner(f, s.Secret.DefaultUser, at, "defaultUser")
		keysToPaths(f, s.Secret.Items, at.Child("items"))
	}
	if s.ConfigMap != nil && one.first("configMap") {
		at := p.Child("configMap")
		f.present(at, "name", s.ConfigMap.Name)
		filesMode(f, s.ConfigMap.DefaultMode, at)
		owner(f, s.ConfigMap.DefaultUser, at, "defaultUser")
		keysToPaths(f, s.ConfigMap.Items, at.Child("items"))
	}
	if s.DownwardAPI != nil && one.first("downwardAPI") {
		at := p.Child("downwardAPI")
		filesMode(f, s.DownwardAPI.DefaultMode, at)
		owner(f, s.DownwardAPI.DefaultUser, at, "defaultUser")
		for i := range s.DownwardAPI.Items {
			downwardFile(f, &s.DownwardAPI.Items[i], at)
		}
	}
	if s.Projected != nil && one.first("projected") {
		projected(f, s.Projected, p.Child("projected"))
	}
}

func hostPath(f *faults, h *corev1.HostPathVolumeSource, p *field.Path) {
	if !f.present(p, "path", h.Path) {
		return
	}
	noBacksteps(f, h.Path, p, "path")
	if h.Type != nil && *h.Type != corev1.HostPathUnset {
		oneOf(f, p, "type", *h.Type, corev1.HostPathUnset, corev1.HostPathBlockDev, corev1.HostPathCharDev, corev1.HostPathDirectory,
			corev1.HostPathDirectoryOrCreate, corev1.HostPathFile, corev1.HostPathFileOrCreate, corev1.HostPathSocket)
	}
}

const fileModeText = "must be a number between 0 and 0777 (octal), both inclusive"

func fileMode(f *faults, m *int32, p *field.Path, name string) {
	if m != nil && (*m < 0 || *m > 0o777) {
		f.invalid(p, name, *m, fileModeText)
	}
}

func filesMode(f *faults, m *int32, p *field.Path) { fileMode(f, m, p, "defaultMode") }

func owner(f *faults, id *int64, p *field.Path, name string) { userID(f, id, p, name) }

func keysToPaths(f *faults, items []corev1.KeyToPath, p *field.Path) {
	for i := range items {
		at := p.Index(i)
		f.present(at, "key", items[i].Key)
		if f.present(at, "path", items[i].Path) {
			localPath(f, items[i].Path, at, "path")
		}
		fileMode(f, items[i].Mode, at, "mode")
		owner(f, items[i].User, at, "user")
	}
}

// localPath is a file in a directory that a kubelet writes atomically: names beginning with ".." are its own.
func localPath(f *faults, path string, p *field.Path, name string) {
	descendingPath(f, path, p, name)
	if strings.HasPrefix(path, "..") && !strings.HasPrefix(path, "../") {
		f.invalid(p, name, path, "must not start with '..'")
	}
}

func downwardFile(f *faults, file *corev1.DownwardAPIVolumeFile, p *field.Path) {
	if f.present(p, "path", file.Path) {
		localPath(f, file.Path, p, "path")
	}
	switch {
	case file.FieldRef != nil:
		fieldRef(f, file.FieldRef, p.Child("fieldRef"), "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
		if file.ResourceFieldRef != nil {
			f.invalid(p, "", "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
		}
	case file.ResourceFieldRef != nil:
		resourceFieldRef(f, file.ResourceFieldRef, true, p.Child("resourceFieldRef"))
	default:
		f.required(p, "", "one of fieldRef and resourceFieldRef is required")
	}
	fileMode(f, file.Mode, p, "mode")
	owner(f, file.User, p, "user")
}

const maxDriverName = 63

// driverName checks the name of a CSI driver: a domain name of at most 63 characters, in either case.
func driverName(f *faults, name string, p *field.Path, field string) {
	if !f.present(p, field, name) {
		return
	}
	if len(name) > maxDriverName {
		f.tooLong(p, field, maxDriverName)
	}
	f.messages(p, field, name, validation.IsDNS1123Subdomain(strings.ToLower(name)))
}
