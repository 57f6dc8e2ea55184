package conformance

import (
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// contentKinds are the four ways to the keys of a ConfigMap or Secret, by the word that behaviours have for them.
var contentKinds = map[string]func(object string, items []v1.KeyToPath, mode *int32, optional bool) v1.VolumeSource{
	"ConfigMap": func(object string, items []v1.KeyToPath, mode *int32, optional bool) v1.VolumeSource {
		return v1.VolumeSource{ConfigMap: &v1.ConfigMapVolumeSource{LocalObjectReference: v1.LocalObjectReference{Name: object}, Items: items, DefaultMode: mode, Optional: &optional}}
	},
	"Secrets": func(object string, items []v1.KeyToPath, mode *int32, optional bool) v1.VolumeSource {
		return v1.VolumeSource{Secret: &v1.SecretVolumeSource{SecretName: object, Items: items, DefaultMode: mode, Optional: &optional}}
	},
	"Projected configMap": func(object string, items []v1.KeyToPath, mode *int32, optional bool) v1.VolumeSource {
		return v1.VolumeSource{Projected: &v1.ProjectedVolumeSource{DefaultMode: mode, Sources: []v1.VolumeProjection{
			{ConfigMap: &v1.ConfigMapProjection{LocalObjectReference: v1.LocalObjectReference{Name: object}, Items: items, Optional: &optional}},
		}}}
	},
	"Projected secret": func(object string, items []v1.KeyToPath, mode *int32, optional bool) v1.VolumeSource {
		return v1.VolumeSource{Projected: &v1.ProjectedVolumeSource{DefaultMode: mode, Sources: []v1.VolumeProjection{
			{Secret: &v1.SecretProjection{LocalObjectReference: v1.LocalObjectReference{Name: object}, Items: items, Optional: &optional}},
		}}}
	},
}

// ofSecret reports whether this kind of volume shows a Secret, not a ConfigMap.
func ofSecret(kind string) bool { return strings.Contains(strings.ToLower(kind), "secret") }

// keeps creates a ConfigMap or a Secret, as the kind of volume wants it, with one key, or changes that key.
func (s *space) keeps(kind, name, key, value string) {
	s.Helper()
	resource := "configmap"
	if ofSecret(kind) {
		resource = "secret"
	}
	manifest := s.parsed("{apiVersion: v1, kind: ConfigMap, data: {}}")
	if resource == "secret" {
		manifest = s.parsed("{apiVersion: v1, kind: Secret, stringData: {}}")
	}
	manifest.SetName(name)
	field := map[string]string{"configmap": "data", "secret": "stringData"}[resource]
	manifest.Object[field] = map[string]any{key: value}
	text, err := manifest.MarshalJSON()
	if err != nil {
		s.Fatal(err)
	}
	s.apply(string(text))
}

// drops deletes what keeps made.
func (s *space) drops(kind, name string) {
	s.Helper()
	if ofSecret(kind) {
		s.kubectl("delete", "secret", name)
		return
	}
	s.kubectl("delete", "configmap", name)
}

// mounting is a pod with volumes that its container has at /v0, /v1 …
func (s *space) mounting(sources []v1.VolumeSource, change ...func(*v1.Pod)) *v1.Pod {
	return s.pod("p", "sleep 300", append([]func(*v1.Pod){func(p *v1.Pod) {
		for i, source := range sources {
			name := "v" + string(rune('0'+i))
			p.Spec.Volumes = append(p.Spec.Volumes, v1.Volume{Name: name, VolumeSource: source})
			p.Spec.Containers[0].VolumeMounts = append(p.Spec.Containers[0].VolumeMounts, v1.VolumeMount{Name: name, MountPath: "/" + name})
		}
	}}, change...)...)
}

// holds checks a file's content and, unless empty, its mode as ls writes it.
func (s *space) holds(pod *v1.Pod, path, content, mode string) {
	s.Helper()
	if got := s.inPod(pod, "cat "+path); got != content {
		s.Errorf("%s holds %q, want %q", path, got, content)
	}
	if got := s.inPod(pod, "ls -lL "+path); !strings.HasPrefix(got, mode) {
		s.Errorf("%s is %q, want the mode %s", path, got, mode)
	}
}

// shifts waits until a shell command in the pod prints this.
func (s *space) shifts(pod *v1.Pod, command, want string) {
	s.Helper()
	s.eventually(command+" to print "+want, func() (any, bool) {
		got, err := s.tryKubectl("", "exec", pod.Name, "--", "sh", "-c", command)
		return got, err == nil && strings.TrimSpace(got) == want
	})
}

func TestContentOfVolumes(t *testing.T) {
	const readable, owners, group = "-rw-r--r--", "-r--------", "-r--r-----"
	mapped := []v1.KeyToPath{{Key: "key", Path: "path/to/file"}}
	mode := func(m int32) *int32 { return &m }
	user, fsGroup := int64(1000), int64(1001)
	for _, c := range []struct {
		kind, behaviour string
		items           []v1.KeyToPath
		mode            *int32
		user, fsGroup   *int64
		want            string
	}{
		{"ConfigMap", "", nil, nil, nil, nil, readable},
		{"ConfigMap", "as non-root", nil, nil, &user, nil, readable},
		{"ConfigMap", "with defaultMode set [LinuxOnly]", nil, mode(0o400), nil, nil, owners},
		{"ConfigMap", "with mappings", mapped, nil, nil, nil, readable},
		{"ConfigMap", "with mappings and Item mode set [LinuxOnly]", []v1.KeyToPath{{Key: "key", Path: "path/to/file", Mode: mode(0o400)}}, nil, nil, nil, owners},
		{"ConfigMap", "with mappings as non-root", mapped, nil, &user, nil, readable},
		{"Secrets", "", nil, nil, nil, nil, readable},
		{"Secrets", "as non-root with defaultMode and fsGroup set [LinuxOnly]", nil, mode(0o440), &user, &fsGroup, group},
		{"Secrets", "with defaultMode set [LinuxOnly]", nil, mode(0o400), nil, nil, owners},
		{"Secrets", "with mappings", mapped, nil, nil, nil, readable},
		{"Secrets", "with mappings and Item Mode set [LinuxOnly]", []v1.KeyToPath{{Key: "key", Path: "path/to/file", Mode: mode(0o400)}}, nil, nil, nil, owners},
		{"Projected configMap", "", nil, nil, nil, nil, readable},
		{"Projected configMap", "as non-root", nil, nil, &user, nil, readable},
		{"Projected configMap", "with mappings", mapped, nil, nil, nil, readable},
		{"Projected secret", "", nil, nil, nil, nil, readable},
		{"Projected secret", "as non-root with defaultMode and fsGroup set [LinuxOnly]", nil, mode(0o440), &user, &fsGroup, group},
		{"Projected secret", "with defaultMode set [LinuxOnly]", nil, mode(0o400), nil, nil, owners},
		{"Projected secret", "with mappings", mapped, nil, nil, nil, readable},
		{"Projected secret", "with mappings and Item Mode set [LinuxOnly]", []v1.KeyToPath{{Key: "key", Path: "path/to/file", Mode: mode(0o400)}}, nil, nil, nil, owners},
	} {
		variant, _, _ := strings.Cut(c.behaviour, " [")
		t.Run(strings.TrimSpace(c.kind+" "+variant), func(t *testing.T) {
			s := behaviour(t, strings.Join(strings.Fields("[sig-storage] "+c.kind+" should be consumable from pods in volume "+c.behaviour+" [NodeConformance]"), " "))
			s.keeps(c.kind, "object", "key", "value-1")
			pod := s.start(s.mounting([]v1.VolumeSource{contentKinds[c.kind]("object", c.items, c.mode, false)}, func(p *v1.Pod) {
				p.Spec.SecurityContext = &v1.PodSecurityContext{RunAsUser: c.user, FSGroup: c.fsGroup}
			}))
			path := "/v0/key"
			if c.items != nil {
				path = "/v0/path/to/file"
			}
			s.holds(pod, path, "value-1", c.want)
			if c.user != nil && s.inPod(pod, "id -u") != "1000" {
				t.Error("the pod runs as another user")
			}
		})
	}
}

func TestContentInManyVolumes(t *testing.T) {
	for kind, name := range map[string]string{
		"ConfigMap": "ConfigMap should be consumable in multiple volumes in the same pod",
		"Secrets":   "Secrets should be consumable in multiple volumes in a pod",
	} {
		t.Run(kind, func(t *testing.T) {
			s := behaviour(t, "[sig-storage] "+name+" [NodeConformance]")
			s.keeps(kind, "object", "key", "value-1")
			source := contentKinds[kind]("object", nil, nil, false)
			pod := s.start(s.mounting([]v1.VolumeSource{source, source}))
			s.holds(pod, "/v0/key", "value-1", "")
			s.holds(pod, "/v1/key", "value-1", "")
		})
	}
}

func TestChangedContentOfVolumes(t *testing.T) {
	for _, kind := range []string{"ConfigMap", "Projected configMap"} {
		t.Run(kind, func(t *testing.T) {
			s := behaviour(t, "[sig-storage] "+kind+" updates should be reflected in volume [NodeConformance]")
			s.keeps(kind, "object", "key", "value-1")
			pod := s.start(s.mounting([]v1.VolumeSource{contentKinds[kind]("object", nil, nil, false)}))
			s.holds(pod, "/v0/key", "value-1", "")
			s.keeps(kind, "object", "key", "value-2")
			s.shifts(pod, "cat /v0/key", "value-2")
		})
	}
}

func TestOptionalContentOfVolumes(t *testing.T) {
	for kind, source := range contentKinds {
		t.Run(kind, func(t *testing.T) {
			s := behaviour(t, "[sig-storage] "+kind+" optional updates should be reflected in volume [NodeConformance]")
			s.keeps(kind, "updated", "key", "value-1")
			s.keeps(kind, "deleted", "key", "value-1")
			pod := s.start(s.mounting([]v1.VolumeSource{source("created", nil, nil, true), source("updated", nil, nil, true), source("deleted", nil, nil, true)}))
			const missing = " 2>/dev/null || echo missing"
			s.shifts(pod, "cat /v0/key"+missing, "missing")
			s.holds(pod, "/v1/key", "value-1", "")
			s.holds(pod, "/v2/key", "value-1", "")
			s.keeps(kind, "created", "key", "value-1")
			s.keeps(kind, "updated", "key", "value-2")
			s.drops(kind, "deleted")
			s.shifts(pod, "cat /v0/key"+missing, "value-1")
			s.shifts(pod, "cat /v1/key"+missing, "value-2")
			s.shifts(pod, "cat /v2/key"+missing, "missing")
		})
	}
}

func TestBinaryContent(t *testing.T) {
	s := behaviour(t, "[sig-storage] ConfigMap binary data should be reflected in volume [NodeConformance]")
	must[*v1.ConfigMap](s)(s.Client.CoreV1().ConfigMaps(s.Namespace).Create(s.Context(), &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "object"},
		Data: map[string]string{"text": "words"}, BinaryData: map[string][]byte{"bytes": {0xde, 0xca, 0xfe, 0x00, 0xff}}}, metav1.CreateOptions{}))
	pod := s.start(s.mounting([]v1.VolumeSource{contentKinds["ConfigMap"]("object", nil, nil, false)}))
	s.holds(pod, "/v0/text", "words", "")
	if got := s.inPod(pod, "busybox od -An -tx1 /v0/bytes"); strings.Join(strings.Fields(got), "") != "decafe00ff" {
		t.Errorf("the bytes are %q", got)
	}
}

func TestContentOfTwoKinds(t *testing.T) {
	s := behaviour(t, "[sig-storage] EmptyDir wrapper volumes should not conflict")
	s.keeps("Secrets", "object", "key", "secret")
	s.keeps("ConfigMap", "object", "key", "config")
	pod := s.start(s.mounting([]v1.VolumeSource{contentKinds["Secrets"]("object", nil, nil, false), contentKinds["ConfigMap"]("object", nil, nil, false)}))
	s.holds(pod, "/v0/key", "secret", "")
	s.holds(pod, "/v1/key", "config", "")
}
