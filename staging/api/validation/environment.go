package validation

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func environment(f *faults, ctr *corev1.Container, c *podContext, p *field.Path) {
	for i := range ctr.Env {
		v := &ctr.Env[i]
		if v.Name == "" {
			f.required(p.Child("env").Index(i), "name", "")
		} else if msgs := validation.IsRelaxedEnvVarName(v.Name); len(msgs) > 0 {
			f.messages(p.Child("env").Index(i), "name", v.Name, msgs)
		}
		if v.ValueFrom != nil {
			valueFrom(f, v, c, p.Child("env").Index(i).Child("valueFrom"))
		}
	}
	for i := range ctr.EnvFrom {
		envFrom(f, &ctr.EnvFrom[i], p.Child("envFrom").Index(i))
	}
}

func valueFrom(f *faults, v *corev1.EnvVar, c *podContext, p *field.Path) {
	s, sources := v.ValueFrom, 0
	if s.FieldRef != nil {
		sources++
		fieldRef(f, s.FieldRef, p.Child("fieldRef"), "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
			"spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs")
	}
	if s.ResourceFieldRef != nil {
		sources++
		resourceFieldRef(f, s.ResourceFieldRef, false, p.Child("resourceFieldRef"))
	}
	if s.ConfigMapKeyRef != nil {
		sources++
		keyRef(f, s.ConfigMapKeyRef.Name, s.ConfigMapKeyRef.Key, p.Child("configMapKeyRef"))
	}
	if s.SecretKeyRef != nil {
		sources++
		keyRef(f, s.SecretKeyRef.Name, s.SecretKeyRef.Key, p.Child("secretKeyRef"))
	}
	if s.FileKeyRef != nil {
		sources++
		fileKeyRef(f, s.FileKeyRef, c, p.Child("fileKeyRef"))
	}
	switch {
	case sources == 0:
		f.invalid(p, "", "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`")
	case v.Value != "":
		f.invalid(p, "", "", "may not be specified when `value` is not empty")
	case sources > 1:
		f.invalid(p, "", "", "may not have more than one field specified at a time")
	}
}

func envFrom(f *faults, e *corev1.EnvFromSource, p *field.Path) {
	if e.Prefix != "" {
		f.messages(p, "prefix", e.Prefix, validation.IsRelaxedEnvVarName(e.Prefix))
	}
	switch {
	case e.ConfigMapRef == nil && e.SecretRef == nil:
		f.invalid(p, "", "", "must specify one of: `configMapRef` or `secretRef`")
		return
	case e.ConfigMapRef != nil && e.SecretRef != nil:
		f.invalid(p, "", "", "may not have more than one field specified at a time")
	}
	if e.ConfigMapRef != nil {
		f.present(p.Child("configMapRef"), "name", e.ConfigMapRef.Name)
	}
	if e.SecretRef != nil {
		f.present(p.Child("secretRef"), "name", e.SecretRef.Name)
	}
}

func keyRef(f *faults, name, key string, p *field.Path) {
	f.present(p, "name", name)
	if f.present(p, "key", key) {
		f.messages(p, "key", key, validation.IsConfigMapKey(key))
	}
}

// fileKeyRef reads a variable from a file that an init container wrote to an empty directory (KEP-3721).
func fileKeyRef(f *faults, r *corev1.FileKeySelector, c *podContext, p *field.Path) {
	if f.present(p, "volumeName", r.VolumeName) {
		if v, ok := c.volumes[r.VolumeName]; !ok {
			f.notFound(p, "volumeName", r.VolumeName)
		} else if v.EmptyDir == nil {
			f.invalid(p, "volumeName", r.VolumeName, "referenced volume must be of type emptyDir")
		}
	}
	if f.present(p, "key", r.Key) {
		f.messages(p, "key", r.Key, validation.IsRelaxedEnvVarName(r.Key))
	}
	if f.present(p, "path", r.Path) {
		descendingPath(f, r.Path, p, "path")
	}
}

// fieldRef checks a reference to a field of the pod itself, with or without ['key'].
func fieldRef(f *faults, r *corev1.ObjectFieldSelector, p *field.Path, allowed ...string) {
	if !f.present(p, "apiVersion", r.APIVersion) || !f.present(p, "fieldPath", r.FieldPath) {
		return
	}
	path, key, subscripted := subscript(r.FieldPath)
	switch {
	case r.APIVersion != "v1":
		f.invalid(p, "fieldPath", r.FieldPath, "error converting fieldPath: unsupported pod version: "+r.APIVersion)
	case !subscripted && !downwardField(r.FieldPath):
		f.invalid(p, "fieldPath", r.FieldPath, "error converting fieldPath: field label not supported: "+r.FieldPath)
	case !subscripted:
		oneOf(f, p, "fieldPath", r.FieldPath, allowed...)
	case path == "metadata.annotations":
		f.messages(p, "", key, validation.IsQualifiedName(strings.ToLower(key)))
	case path == "metadata.labels":
		f.messages(p, "", key, validation.IsQualifiedName(key))
	default:
		f.invalid(p, "fieldPath", r.FieldPath, "error converting fieldPath: field label does not support subscript: "+path)
	}
}

// subscript splits metadata.labels['key'].
func subscript(path string) (base, key string, ok bool) {
	inner, ok := strings.CutSuffix(path, "']")
	if !ok {
		return path, "", false
	}
	base, key, ok = strings.Cut(inner, "['")
	if !ok || base == "" {
		return path, "", false
	}
	return base, key, true
}

// downwardField tells whether the downward API knows a field.
func downwardField(path string) bool {
	switch path {
	case "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid",
		"spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName", "spec.schedulerName",
		"status.phase", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs":
		return true
	}
	return false
}

// resourceFieldRef checks a reference to a container's limit or request. In a volume the container must be named.
func resourceFieldRef(f *faults, r *corev1.ResourceFieldSelector, inVolume bool, p *field.Path) {
	if inVolume {
		f.present(p, "containerName", r.ContainerName)
	}
	if !f.present(p, "resource", r.Resource) {
		return
	}
	if strings.HasPrefix(r.Resource, "limits.hugepages-") || strings.HasPrefix(r.Resource, "requests.hugepages-") {
		divisor(f, r.Divisor, "hugepages", p, binaryDivisors()...)
		return
	}
	if !oneOf(f, p, "resource", r.Resource, "limits.cpu", "limits.ephemeral-storage", "limits.memory",
		"requests.cpu", "requests.ephemeral-storage", "requests.memory") {
		return
	}
	_, name, _ := strings.Cut(r.Resource, ".")
	switch name {
	case "cpu":
		divisor(f, r.Divisor, "cpu", p, "1m", "1")
	case "memory":
		divisor(f, r.Divisor, "memory", p, binaryDivisors()...)
	case "ephemeral-storage":
		divisor(f, r.Divisor, "local ephemeral storage", p, binaryDivisors()...)
	}
}

func binaryDivisors() []string {
	return []string{"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"}
}

func divisor(f *faults, d resource.Quantity, noun string, p *field.Path, allowed ...string) {
	if d.IsZero() {
		return
	}
	text := d.String()
	for _, a := range allowed {
		if a == text {
			return
		}
	}
	list := strings.Join(allowed, ", ")
	if len(allowed) == 2 {
		list = allowed[0] + " and " + allowed[1]
	}
	f.invalid(p, "divisor", text, "only divisor's values "+list+" are supported with the "+noun+" resource")
}
