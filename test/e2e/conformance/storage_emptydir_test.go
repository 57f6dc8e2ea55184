package conformance

import (
	"fmt"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func emptyDir(medium v1.StorageMedium) v1.VolumeSource {
	return v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{Medium: medium}}
}

// inMemory checks that a folder of the pod is a tmpfs of its own, or that it is not.
func (s *space) inMemory(pod *v1.Pod, dir string, is bool) {
	s.Helper()
	if mounts := s.inPod(pod, "cat /proc/mounts"); strings.Contains(mounts, " "+dir+" tmpfs ") != is {
		s.Errorf("%s on tmpfs: want %v, its mounts are\n%s", dir, is, mounts)
	}
}

func TestEmptyDirs(t *testing.T) {
	user := int64(1001)
	for _, c := range []struct {
		user *int64
		mode string
		ls   string
		on   v1.StorageMedium
	}{
		{&user, "0666", "-rw-rw-rw-", v1.StorageMediumDefault},
		{&user, "0666", "-rw-rw-rw-", v1.StorageMediumMemory},
		{&user, "0777", "-rwxrwxrwx", v1.StorageMediumDefault},
		{&user, "0777", "-rwxrwxrwx", v1.StorageMediumMemory},
		{nil, "0644", "-rw-r--r--", v1.StorageMediumMemory},
		{nil, "0666", "-rw-rw-rw-", v1.StorageMediumDefault},
		{nil, "0666", "-rw-rw-rw-", v1.StorageMediumMemory},
		{nil, "0777", "-rwxrwxrwx", v1.StorageMediumDefault},
	} {
		who, medium := "root", "default"
		if c.user != nil {
			who = "non-root"
		}
		if c.on == v1.StorageMediumMemory {
			medium = "tmpfs"
		}
		t.Run(fmt.Sprintf("%s %s %s", who, c.mode, medium), func(t *testing.T) {
			s := behaviour(t, fmt.Sprintf("[sig-storage] EmptyDir volumes should support (%s,%s,%s) [LinuxOnly] [NodeConformance]", who, c.mode, medium))
			pod := s.start(s.mounting([]v1.VolumeSource{emptyDir(c.on)}, func(p *v1.Pod) { p.Spec.SecurityContext = &v1.PodSecurityContext{RunAsUser: c.user} }))
			s.inPod(pod, "echo mount-tester new file > /v0/file && busybox chmod "+c.mode+" /v0/file")
			s.holds(pod, "/v0/file", "mount-tester new file", c.ls)
			s.inMemory(pod, "/v0", c.on == v1.StorageMediumMemory)
		})
	}
}

func TestModeOfEmptyDirs(t *testing.T) {
	s := behaviour(t, "[sig-storage] EmptyDir volumes volume on default medium should have the correct mode [LinuxOnly] [NodeConformance]")
	pod := s.start(s.mounting([]v1.VolumeSource{emptyDir(v1.StorageMediumDefault)}))
	if got := s.inPod(pod, "ls -ld /v0"); !strings.HasPrefix(got, "drwxrwxrwx") {
		t.Errorf("the volume is %q", got)
	}
	s.inMemory(pod, "/v0", false)
}

func TestSharedEmptyDir(t *testing.T) {
	s := behaviour(t, "[sig-storage] EmptyDir volumes pod should support shared volumes between containers")
	pod := s.start(s.mounting([]v1.VolumeSource{emptyDir(v1.StorageMediumDefault)}, func(p *v1.Pod) {
		sub := p.Spec.Containers[0].DeepCopy()
		sub.Name, sub.Command = "sub", []string{"sh", "-c", "echo hello world > /v0/file.new && busybox mv /v0/file.new /v0/file; sleep 300"}
		p.Spec.Containers = append(p.Spec.Containers, *sub)
	}))
	s.shifts(pod, "cat /v0/file", "hello world")
}

func TestManyConfigMapsInPods(t *testing.T) {
	s := behaviour(t, "[sig-storage] EmptyDir wrapper volumes should not cause race condition when used for configmaps [Serial]")
	const maps, pods = 50, 5
	spec := s.pod("p", "sleep 300").Spec
	for i := range maps {
		name := fmt.Sprintf("m%d", i)
		must[*v1.ConfigMap](s)(s.Client.CoreV1().ConfigMaps(s.Namespace).Create(s.Context(), &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"key": name}}, metav1.CreateOptions{}))
		spec.Volumes = append(spec.Volumes, v1.Volume{Name: name, VolumeSource: contentKinds["ConfigMap"](name, nil, nil, false)})
		spec.Containers[0].VolumeMounts = append(spec.Containers[0].VolumeMounts, v1.VolumeMount{Name: name, MountPath: "/" + name})
	}
	replicas, labels := int32(pods), map[string]string{"of": "many"}
	template := podTemplate(spec, labels)
	must[*v1.ReplicationController](s)(s.Client.CoreV1().ReplicationControllers(s.Namespace).Create(s.Context(),
		&v1.ReplicationController{ObjectMeta: metav1.ObjectMeta{Name: "rc"}, Spec: v1.ReplicationControllerSpec{Replicas: &replicas, Selector: labels, Template: &template}}, metav1.CreateOptions{}))
	s.shows(fmt.Sprint(pods), "rc/rc", ".status.readyReplicas")
	for _, name := range s.names("pods", "of=many") {
		if got := s.kubectl("exec", name, "--", "sh", "-c", "cat /m0/key /m49/key"); got != "m0m49" {
			t.Errorf("pod %s reads %q", name, got)
		}
	}
	for failed := range strings.Lines(s.kubectl("get", "events", "--field-selector=reason=FailedMount", "-o", `jsonpath={range .items[*]}{.message}{"\n"}{end}`)) {
		// A slow API server only delays a pod: fifty objects are asked for at once.
		if !strings.Contains(failed, "failed to sync configmap cache: timed out") {
			t.Errorf("a volume failed on the way: %s", failed)
		}
	}
}
