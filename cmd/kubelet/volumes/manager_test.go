package volumes

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes/fake"

	"pilotis.dev/cmd/kubelet/fields"
)

func configMapVolume(name, object string, items ...v1.KeyToPath) v1.Volume {
	return v1.Volume{Name: name, VolumeSource: v1.VolumeSource{ConfigMap: &v1.ConfigMapVolumeSource{LocalObjectReference: v1.LocalObjectReference{Name: object}, Items: items}}}
}

func setUp(t *testing.T, m *Manager, pod *v1.Pod) map[string]Mounted {
	t.Helper()
	mounted, err := m.Setup(t.Context(), pod)
	if err != nil {
		t.Fatal(err)
	}
	return mounted
}

func read(t *testing.T, parts ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestContentVolumes(t *testing.T) {
	m, mounts, objects := world(t)
	objects.configMaps["conf"] = &v1.ConfigMap{Data: map[string]string{"k": "text"}, BinaryData: map[string][]byte{"b": {0, 1}}}
	objects.secrets["sec"] = &v1.Secret{Data: map[string][]byte{"pw": []byte("s3")}}
	only := int32(0o400)
	pod := podOf(
		configMapVolume("c", "conf"),
		configMapVolume("items", "conf", v1.KeyToPath{Key: "k", Path: "sub/dir/file", Mode: &only}),
		v1.Volume{Name: "s", VolumeSource: v1.VolumeSource{Secret: &v1.SecretVolumeSource{SecretName: "sec"}}},
		v1.Volume{Name: "d", VolumeSource: v1.VolumeSource{DownwardAPI: &v1.DownwardAPIVolumeSource{Items: []v1.DownwardAPIVolumeFile{{Path: "labels", FieldRef: &v1.ObjectFieldSelector{FieldPath: "metadata.labels"}}}}}},
		v1.Volume{Name: "p", VolumeSource: v1.VolumeSource{Projected: &v1.ProjectedVolumeSource{Sources: []v1.VolumeProjection{
			{ConfigMap: &v1.ConfigMapProjection{LocalObjectReference: v1.LocalObjectReference{Name: "conf"}}},
			{Secret: &v1.SecretProjection{LocalObjectReference: v1.LocalObjectReference{Name: "sec"}, Items: []v1.KeyToPath{{Key: "pw", Path: "k"}}}},
		}}}},
	)
	got := setUp(t, m, pod)
	if read(t, got["c"].HostPath, "k") != "text" || read(t, got["c"].HostPath, "b") != "\x00\x01" {
		t.Error("configMap content differs")
	}
	if read(t, got["items"].HostPath, "sub/dir/file") != "text" {
		t.Error("items content differs")
	}
	if info, _ := os.Stat(filepath.Join(got["items"].HostPath, "sub/dir/file")); info.Mode().Perm() != os.FileMode(only) {
		t.Errorf("mode %v", info.Mode())
	}
	if read(t, got["s"].HostPath, "pw") != "s3" || read(t, got["d"].HostPath, "labels") != `app="web"` {
		t.Error("secret or downward API content differs")
	}
	if read(t, got["p"].HostPath, "k") != "s3" {
		t.Error("a later projected source does not win")
	}
	for name, memory := range map[string]bool{"c": false, "s": true, "p": true, "d": true} {
		if strings.HasPrefix(mounts.types[got[name].HostPath], "tmpfs") != memory {
			t.Errorf("volume %s: mounted %q", name, mounts.types[got[name].HostPath])
		}
		if !got[name].ReadOnly {
			t.Errorf("volume %s can be written", name)
		}
	}
}

func TestRefreshFollowsObjectsAndPods(t *testing.T) {
	m, _, objects := world(t)
	objects.configMaps["conf"] = &v1.ConfigMap{Data: map[string]string{"k": "old"}}
	pod := podOf(configMapVolume("c", "conf"), v1.Volume{Name: "d", VolumeSource: v1.VolumeSource{DownwardAPI: &v1.DownwardAPIVolumeSource{Items: []v1.DownwardAPIVolumeFile{{Path: "l", FieldRef: &v1.ObjectFieldSelector{FieldPath: "metadata.labels['app']"}}}}}})
	m.View = func(types.UID) (fields.Pod, bool) { return fields.Pod{Pod: pod}, true }
	got := setUp(t, m, pod)
	objects.configMaps["conf"] = &v1.ConfigMap{Data: map[string]string{"k": "new", "more": "1"}}
	pod = pod.DeepCopy()
	pod.Labels["app"] = "changed"
	if _, err := m.refresh(t.Context(), "u1"); err != nil {
		t.Fatal(err)
	}
	if read(t, got["c"].HostPath, "k") != "new" || read(t, got["c"].HostPath, "more") != "1" || read(t, got["d"].HostPath, "l") != "changed" {
		t.Error("the volumes keep old content")
	}
	delete(objects.configMaps, "conf")
	if _, err := m.refresh(t.Context(), "u1"); err != nil {
		t.Errorf("a deleted object is tried again and again: %v", err)
	}
	if read(t, got["c"].HostPath, "k") != "new" {
		t.Error("content went with its object")
	}
	// A kubelet that starts anew refreshes what the old one made.
	next := New(Config{RootDir: m.RootDir, Objects: objects, View: m.View, mounter: m.mounter})
	objects.configMaps["conf"] = &v1.ConfigMap{Data: map[string]string{"k": "newest"}}
	if _, err := next.refresh(t.Context(), "u1"); err != nil {
		t.Fatal(err)
	}
	if read(t, got["c"].HostPath, "k") != "newest" {
		t.Error("the next kubelet leaves old content")
	}
}

func TestMissingSources(t *testing.T) {
	yes := true
	for _, c := range []struct {
		name   string
		volume v1.Volume
		err    string
	}{
		{"configMap", configMapVolume("v", "none"), `MountVolume.SetUp failed for volume "v" : configmaps "none" not found`},
		{"optional configMap", v1.Volume{Name: "v", VolumeSource: v1.VolumeSource{ConfigMap: &v1.ConfigMapVolumeSource{LocalObjectReference: v1.LocalObjectReference{Name: "none"}, Optional: &yes}}}, ""},
		{"key", configMapVolume("v", "conf", v1.KeyToPath{Key: "x", Path: "x"}), "configmap references non-existent config key: x"},
		{"optional key", v1.Volume{Name: "v", VolumeSource: v1.VolumeSource{ConfigMap: &v1.ConfigMapVolumeSource{LocalObjectReference: v1.LocalObjectReference{Name: "conf"}, Items: []v1.KeyToPath{{Key: "x", Path: "x"}}, Optional: &yes}}}, ""},
		{"path that leaves", configMapVolume("v", "conf", v1.KeyToPath{Key: "k", Path: "../../x"}), "must not contain '..'"},
		{"unknown kind", v1.Volume{Name: "v", VolumeSource: v1.VolumeSource{FC: &v1.FCVolumeSource{}}}, "no volume plugin matched"},
		{"gitRepo", v1.Volume{Name: "v", VolumeSource: v1.VolumeSource{GitRepo: &v1.GitRepoVolumeSource{}}}, "disabled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, _, objects := world(t)
			objects.configMaps["conf"] = &v1.ConfigMap{Data: map[string]string{"k": "v"}}
			_, err := m.Setup(t.Context(), podOf(c.volume))
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

type fixedTokens struct {
	asked []authenticationv1.TokenRequestSpec
}

func (f *fixedTokens) Token(_ context.Context, _, account string, tr *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
	f.asked = append(f.asked, tr.Spec)
	out := tr.DeepCopy()
	out.Status.Token = "token of " + account
	return out, nil
}

func (f *fixedTokens) RefreshAt(*authenticationv1.TokenRequest) time.Time {
	return time.Now().Add(time.Hour)
}

func TestTokensAreTheirUsersAlone(t *testing.T) {
	user, other := int64(os.Getuid()), int64(4711)
	for _, c := range []struct {
		name     string
		pod, own *int64
		mode     os.FileMode
	}{{"image decides", nil, nil, 0o644}, {"one user", &user, nil, 0o600}, {"containers differ", &other, &user, 0o600}} {
		t.Run(c.name, func(t *testing.T) {
			m, _, _ := world(t)
			tokens := &fixedTokens{}
			m.Tokens = tokens
			seconds := int64(3607)
			pod := podOf(v1.Volume{Name: "p", VolumeSource: v1.VolumeSource{Projected: &v1.ProjectedVolumeSource{Sources: []v1.VolumeProjection{{ServiceAccountToken: &v1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: &seconds, Audience: "vault"}}}}}})
			pod.Spec.ServiceAccountName = "robot"
			pod.Spec.SecurityContext = &v1.PodSecurityContext{RunAsUser: c.pod}
			pod.Spec.Containers[0].SecurityContext = &v1.SecurityContext{RunAsUser: c.own}
			got := setUp(t, m, pod)
			path := filepath.Join(got["p"].HostPath, "token")
			if read(t, path) != "token of robot" {
				t.Error("the token is not there")
			}
			if info, _ := os.Stat(path); info.Mode().Perm() != c.mode {
				t.Errorf("mode %v", info.Mode())
			}
			if a := tokens.asked[0]; a.BoundObjectRef.UID != "u1" || a.Audiences[0] != "vault" || *a.ExpirationSeconds != seconds {
				t.Errorf("asked for %+v", a)
			}
		})
	}
}

func TestEmptyDir(t *testing.T) {
	m, mounts, _ := world(t)
	limit := resource.MustParse("1Mi")
	pod := podOf(
		v1.Volume{Name: "disk", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}},
		v1.Volume{Name: "mem", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{Medium: v1.StorageMediumMemory, SizeLimit: &limit}}},
		v1.Volume{Name: "huge", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{Medium: "HugePages-2Mi"}}},
		v1.Volume{Name: "unused", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}},
	)
	pod.Spec.Containers[0].VolumeMounts = pod.Spec.Containers[0].VolumeMounts[:3]
	group := int64(os.Getgid())
	pod.Spec.SecurityContext = &v1.PodSecurityContext{FSGroup: &group}
	got := setUp(t, m, pod)
	if _, ok := got["unused"]; ok {
		t.Error("a volume that no container mounts is made")
	}
	info, err := os.Stat(got["disk"].HostPath)
	if err != nil || info.Mode().Perm() != 0o777 || info.Mode()&os.ModeSetgid == 0 {
		t.Errorf("disk: %v, %v", info.Mode(), err)
	}
	if got := mounts.types[got["mem"].HostPath]; !strings.Contains(got, "size=1048576") {
		t.Errorf("memory: %q", got)
	}
	if got := mounts.types[got["huge"].HostPath]; got != "hugetlbfs pagesize=2097152" {
		t.Errorf("huge pages: %q", got)
	}
	if err := os.WriteFile(filepath.Join(got["disk"].HostPath, "f"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	// Another kubelet sets the same pod up: its data stays.
	again := setUp(t, New(Config{RootDir: m.RootDir, mounter: mounts}), pod)
	if read(t, again["disk"].HostPath, "f") != "x" || len(mounts.mounts) != 2 {
		t.Errorf("mounts %v", mounts.mounts)
	}
}

func TestHostPathTypes(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/file", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind v1.HostPathType
		path string
		err  string
	}{
		{v1.HostPathUnset, dir + "/none", ""}, {v1.HostPathDirectory, dir, ""}, {v1.HostPathFile, dir + "/file", ""},
		{v1.HostPathDirectoryOrCreate, dir + "/made/deep", ""}, {v1.HostPathFileOrCreate, dir + "/made/file", ""},
		{v1.HostPathCharDev, "/dev/null", ""},
		{v1.HostPathDirectory, dir + "/none2", "hostPath type check failed: " + dir + "/none2 is not a directory"},
		{v1.HostPathFile, dir, "is not a file"}, {v1.HostPathSocket, dir + "/file", "is not a socket file"},
		{v1.HostPathBlockDev, "/dev/null", "is not a block device"}, {v1.HostPathFileOrCreate, dir, "is not a file"},
		{v1.HostPathDirectoryOrCreate, dir + "/file", "not a directory"}, {"Odd", dir, "unknown"},
	} {
		err := checkHostPath(c.path, c.kind)
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s %s: %v", c.kind, c.path, err)
		}
	}
}

func TestTeardownWorksFromTheFoldersAlone(t *testing.T) {
	m, mounts, objects := world(t)
	objects.secrets["sec"] = &v1.Secret{Data: map[string][]byte{"pw": []byte("s3")}}
	pod := podOf(v1.Volume{Name: "s", VolumeSource: v1.VolumeSource{Secret: &v1.SecretVolumeSource{SecretName: "sec"}}}, v1.Volume{Name: "e", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}})
	got := setUp(t, m, pod)
	sub, err := m.SubPath("u1", "app", 1, "e", got["e"].HostPath, "x", false)
	if err != nil {
		t.Fatal(err)
	}
	next := New(Config{RootDir: m.RootDir, mounter: mounts})
	mounts.busy[sub] = true
	if err := next.Teardown(t.Context(), "u1"); !errors.Is(err, os.ErrNotExist) && err == nil {
		t.Error("a mount that will not go is no error")
	}
	if _, err := os.Stat(sub); err != nil {
		t.Error("something was deleted below a mount that did not go")
	}
	mounts.busy[sub] = false
	for range 2 {
		if err := next.Teardown(t.Context(), "u1"); err != nil {
			t.Fatal(err)
		}
	}
	if len(mounts.mounts) != 0 || next.Holds("u1") {
		t.Errorf("left: %v", mounts.mounts)
	}
}

func TestOrphansGo(t *testing.T) {
	m, _, _ := world(t)
	pod := podOf(v1.Volume{Name: "e", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}})
	setUp(t, m, pod)
	known := false
	m.Keep = func() (sets.Set[types.UID], bool) { return sets.New[types.UID]("other"), known }
	m.removeOrphans(t.Context())
	if !m.Holds("u1") {
		t.Error("removed before the node knows its pods")
	}
	known = true
	m.removeOrphans(t.Context())
	if _, err := os.Stat(m.PodDir("u1")); !os.IsNotExist(err) {
		t.Error("the orphan's folder is left")
	}
}

func TestClaims(t *testing.T) {
	path := t.TempDir()
	claim := &v1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data", Namespace: "ns", UID: "c1"}, Spec: v1.PersistentVolumeClaimSpec{VolumeName: "pv"}, Status: v1.PersistentVolumeClaimStatus{Phase: v1.ClaimBound}}
	pv := &v1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv"}, Spec: v1.PersistentVolumeSpec{ClaimRef: &v1.ObjectReference{UID: "c1"}, PersistentVolumeSource: v1.PersistentVolumeSource{Local: &v1.LocalVolumeSource{Path: path}}}}
	pod := podOf(v1.Volume{Name: "v", VolumeSource: v1.VolumeSource{PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}})
	for _, c := range []struct {
		name   string
		change func(*v1.PersistentVolumeClaim, *v1.PersistentVolume)
		err    string
	}{
		{"local", func(*v1.PersistentVolumeClaim, *v1.PersistentVolume) {}, ""},
		{"pending", func(c *v1.PersistentVolumeClaim, _ *v1.PersistentVolume) { c.Status.Phase = v1.ClaimPending }, "not bound"},
		{"stolen", func(_ *v1.PersistentVolumeClaim, p *v1.PersistentVolume) { p.Spec.ClaimRef.UID = "x" }, "bound to another claim"},
		{"deleted", func(c *v1.PersistentVolumeClaim, _ *v1.PersistentVolume) {
			now := metav1.Now()
			c.DeletionTimestamp = &now
			c.Finalizers = []string{"x"}
		}, "being deleted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, mounts, _ := world(t)
			claim, pv := claim.DeepCopy(), pv.DeepCopy()
			c.change(claim, pv)
			m.Client = fake.NewClientset(claim, pv)
			got, err := m.Setup(t.Context(), pod)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || mounts.bound[got["v"].HostPath] != path {
				t.Errorf("got %v, %v with %v", got, err, mounts.bound)
			}
		})
	}
}

func TestFSGroupPolicy(t *testing.T) {
	dir := t.TempDir()
	group := int64(os.Getgid())
	if err := errors.Join(os.Mkdir(dir+"/sub", 0o700), os.WriteFile(dir+"/sub/f", nil, 0o600), os.Symlink("/etc/passwd", dir+"/link")); err != nil {
		t.Fatal(err)
	}
	before, _ := os.Stat("/etc/passwd")
	if err := GiveToGroup(dir, group, false); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(dir + "/sub/f"); info.Mode().Perm() != 0o660 {
		t.Errorf("file %v", info.Mode())
	}
	if info, _ := os.Stat(dir + "/sub"); info.Mode().Perm() != 0o770 || info.Mode()&os.ModeSetgid == 0 {
		t.Errorf("folder %v", info.Mode())
	}
	if after, _ := os.Stat("/etc/passwd"); after.Mode() != before.Mode() {
		t.Error("a link was followed")
	}
	if !ownedBy(dir, group) || ownedBy(dir, group+1) {
		t.Error("the root's state is not recognised")
	}
	if err := os.Chmod(dir+"/sub/f", 0o600); err != nil {
		t.Fatal(err)
	}
	policy := v1.FSGroupChangeOnRootMismatch
	m, _, _ := world(t)
	pod := &v1.Pod{Spec: v1.PodSpec{SecurityContext: &v1.PodSecurityContext{FSGroup: &group, FSGroupChangePolicy: &policy}}}
	if err := m.applyFSGroup(dir, pod); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(dir + "/sub/f"); info.Mode().Perm() != 0o600 {
		t.Error("OnRootMismatch walked a volume whose root matches")
	}
}
