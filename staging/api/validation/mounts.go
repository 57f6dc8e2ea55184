package validation

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func mountsOf(f *faults, ctr *corev1.Container, c *podContext, p *field.Path) {
	if len(ctr.VolumeMounts) > 0 {
		var paths seen[string]
		for i := range ctr.VolumeMounts {
			volumeMount(f, ctr, &ctr.VolumeMounts[i], c, &paths, p.Child("volumeMounts").Index(i))
		}
	}
	var names, paths seen[string]
	for i, d := range ctr.VolumeDevices {
		at := p.Child("volumeDevices").Index(i)
		if f.present(at, "name", d.Name) {
			if names.again(d.Name) {
				f.invalid(at, "name", d.Name, "must be unique")
			}
			if v, ok := c.volumes[d.Name]; !ok {
				f.notFound(at, "name", d.Name)
			} else if v.PersistentVolumeClaim == nil && v.Ephemeral == nil {
				f.invalid(at, "name", d.Name, "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode")
			}
			if mounted(ctr, func(m *corev1.VolumeMount) bool { return m.Name == d.Name }) {
				f.invalid(at, "name", d.Name, "must not already exist in volumeMounts")
			}
		}
		if !f.present(at, "devicePath", d.DevicePath) {
			continue
		}
		if paths.again(d.DevicePath) {
			f.invalid(at, "devicePath", d.DevicePath, "must be unique")
		}
		noBacksteps(f, d.DevicePath, at, "devicePath")
		if mounted(ctr, func(m *corev1.VolumeMount) bool { return m.MountPath == d.DevicePath }) {
			f.invalid(at, "devicePath", d.DevicePath, "must not already exist as a path in volumeMounts")
		}
	}
}

func mounted(ctr *corev1.Container, is func(*corev1.VolumeMount) bool) bool {
	for i := range ctr.VolumeMounts {
		if is(&ctr.VolumeMounts[i]) {
			return true
		}
	}
	return false
}

func volumeMount(f *faults, ctr *corev1.Container, m *corev1.VolumeMount, c *podContext, paths *seen[string], p *field.Path) {
	if f.present(p, "name", m.Name) {
		if _, ok := c.volumes[m.Name]; !ok {
			f.notFound(p, "name", m.Name)
		}
	}
	if f.present(p, "mountPath", m.MountPath) && paths.again(m.MountPath) {
		f.invalid(p, "mountPath", m.MountPath, "must be unique")
	}
	for _, d := range ctr.VolumeDevices {
		if d.Name == m.Name && m.Name != "" {
			f.invalid(p, "name", m.Name, "must not already exist in volumeDevices")
		}
		if d.DevicePath == m.MountPath && m.MountPath != "" {
			f.invalid(p, "mountPath", m.MountPath, "must not already exist as a path in volumeDevices")
		}
	}
	if m.SubPath != "" {
		descendingPath(f, m.SubPath, p, "subPath")
	}
	if m.SubPathExpr != "" {
		if m.SubPath != "" {
			f.invalid(p, "subPathExpr", m.SubPathExpr, "subPathExpr and subPath are mutually exclusive")
		}
		descendingPath(f, m.SubPathExpr, p, "subPathExpr")
	}
	if m.MountPropagation != nil {
		oneOf(f, p, "mountPropagation", *m.MountPropagation, corev1.MountPropagationBidirectional, corev1.MountPropagationHostToContainer, corev1.MountPropagationNone)
		privileged := ctr.SecurityContext != nil && ctr.SecurityContext.Privileged != nil && *ctr.SecurityContext.Privileged
		if *m.MountPropagation == corev1.MountPropagationBidirectional && !privileged {
			f.forbidden(p, "mountPropagation", "Bidirectional mount propagation is available only to privileged containers")
		}
	}
	recursiveReadOnly(f, m, p)
	var options seen[string]
	for i, o := range m.BindMountOptions {
		at := p.Child("bindMountOptions").Index(i)
		oneOf(f, at, "", o, string(corev1.BindMountOptionNoDev), string(corev1.BindMountOptionNoExec), string(corev1.BindMountOptionNoSUID))
		if options.again(o) {
			f.duplicate(at, "", o)
		}
	}
}

// recursiveReadOnly makes sense for a read-only mount that nothing is mounted into later (KEP-3857).
func recursiveReadOnly(f *faults, m *corev1.VolumeMount, p *field.Path) {
	if m.RecursiveReadOnly == nil {
		return
	}
	switch *m.RecursiveReadOnly {
	case corev1.RecursiveReadOnlyDisabled:
	case corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible:
		if !m.ReadOnly {
			f.forbidden(p, "recursiveReadOnly", "may only be specified when readOnly is true")
		}
		if m.MountPropagation != nil && *m.MountPropagation != corev1.MountPropagationNone {
			f.forbidden(p, "recursiveReadOnly", "may only be specified when mountPropagation is None or not specified")
		}
	default:
		oneOf(f, p, "recursiveReadOnly", *m.RecursiveReadOnly, corev1.RecursiveReadOnlyDisabled, corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible)
	}
}

// descendingPath stays below the directory it is relative to.
func descendingPath(f *faults, path string, p *field.Path, name string) {
	if strings.HasPrefix(path, "/") {
		f.invalid(p, name, path, "must be a relative path")
	}
	noBacksteps(f, path, p, name)
}

func noBacksteps(f *faults, path string, p *field.Path, name string) {
	if !strings.Contains(path, "..") {
		return
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == ".." {
			f.invalid(p, name, path, "must not contain '..'")
			return
		}
	}
}
