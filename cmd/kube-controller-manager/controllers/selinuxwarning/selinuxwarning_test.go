package selinuxwarning

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kube-controller-manager/controllers/lab"
)

// pod uses the claim "c" with a level of SELinux, and changes labels by policy.
func pod(name, level string, policy v1.PodSELinuxChangePolicy) *v1.Pod {
	p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: v1.PodSpec{
		SecurityContext: &v1.PodSecurityContext{SELinuxChangePolicy: &policy},
		Volumes:         []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}}},
	}}
	if level != "" {
		p.Spec.SecurityContext.SELinuxOptions = &v1.SELinuxOptions{Level: level}
	}
	return p
}

func gauges(t *testing.T) (n int) {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "selinux_warning_controller_selinux_volume_conflict" {
			n += len(f.Metric)
		}
	}
	return n
}

func TestPodsThatCannotShareAVolume(t *testing.T) {
	const mount, recursive = v1.SELinuxChangePolicyMountOption, v1.SELinuxChangePolicyRecursive
	for name, c := range map[string]struct {
		mounts bool
		a, b   *v1.Pod
		want   []string // the events of a
	}{
		"the same label":          {true, pod("a", "s0:c1", mount), pod("b", "s0:c1", mount), nil},
		"another label":           {true, pod("a", "s0:c1", mount), pod("b", "s0:c2", mount), []string{`SELinuxLabelConflict SELinuxLabel "system_u:object_r:container_file_t:s0:c1" conflicts with pod b`}},
		"relabelled by file":      {true, pod("a", "s0:c1", recursive), pod("b", "s0:c2", recursive), nil},
		"another policy":          {true, pod("a", "s0:c1", mount), pod("b", "s0:c1", recursive), []string{`SELinuxChangePolicyConflict SELinuxChangePolicy "MountOption" conflicts with pod b`}},
		"a driver without labels": {false, pod("a", "s0:c1", mount), pod("b", "s0:c2", mount), nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := lab.New(t)
				l.Seed(&storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "d"}, Spec: storagev1.CSIDriverSpec{SELinuxMount: ptr.To(c.mounts)}},
					&v1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv"}, Spec: v1.PersistentVolumeSpec{ClaimRef: &v1.ObjectReference{Namespace: "ns", Name: "c"},
						PersistentVolumeSource: v1.PersistentVolumeSource{CSI: &v1.CSIPersistentVolumeSource{Driver: "d", VolumeHandle: "h"}}}},
					&v1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "c"}, Spec: v1.PersistentVolumeClaimSpec{VolumeName: "pv"}}, c.a, c.b)
				loop, err := New(l.Informers, l.Events)
				if err != nil {
					t.Fatal(err)
				}
				l.Run(t, loop)
				synctest.Wait()
				events := l.Recorded()
				if len(events) != 2*len(c.want) || gauges(t) != len(events) {
					t.Errorf("events %q, %d in the metric", events, gauges(t))
				}
				for _, want := range c.want {
					if !slices.ContainsFunc(events, func(e string) bool { return strings.Contains(e, want) }) {
						t.Errorf("events %q, want %q", events, want)
					}
				}
				l.SetPod(t, l.Pods()["b"], lab.Ended(0))
				synctest.Wait()
				if gauges(t) != 0 {
					t.Errorf("%d conflicts are shown with a pod that has ended", gauges(t))
				}
			})
		})
	}
}
