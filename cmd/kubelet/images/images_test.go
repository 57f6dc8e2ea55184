package images

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	critest "k8s.io/cri-api/pkg/apis/testing"
)

type secrets map[string]*v1.Secret

func (s secrets) Secret(_, name string) (*v1.Secret, error) {
	if found := s[name]; found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("secret %q not found", name)
}

func manager(f *critest.FakeImageService) (*Manager, *record.FakeRecorder) {
	r := record.NewFakeRecorder(100)
	return &Manager{Service: f, Secrets: secrets{}, Recorder: r}, r
}

func TestEnsureByPolicy(t *testing.T) {
	for _, tt := range []struct {
		name    string
		image   string
		policy  v1.PullPolicy
		present bool
		pulled  bool
		want    error
	}{
		{"absent is pulled", "web:1", v1.PullIfNotPresent, false, true, nil},
		{"present stays", "web:1", v1.PullIfNotPresent, true, false, nil},
		{"always asks the registry", "web:1", v1.PullAlways, true, true, nil},
		{"never, and there", "web:1", v1.PullNever, true, false, nil},
		{"never, and not there", "web:1", v1.PullNever, false, false, ErrImageNeverPull},
		{"no name", "", v1.PullAlways, false, false, ErrInvalidImageName},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := critest.NewFakeImageService()
			if tt.present {
				f.SetFakeImages([]string{tt.image})
			}
			m, _ := manager(f)
			_, err := m.Ensure(t.Context(), &v1.Pod{}, &v1.Container{Name: "a", Image: tt.image, ImagePullPolicy: tt.policy}, nil)
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			pulls := 0
			for _, c := range f.Called {
				if c == "PullImage" {
					pulls++
				}
			}
			if (pulls > 0) != tt.pulled {
				t.Errorf("%d pulls, want pulled %v", pulls, tt.pulled)
			}
		})
	}
}

func TestInvalidNames(t *testing.T) {
	for name, cause := range map[string]string{
		"Registry/FOO::v1": "invalid reference format: repository name (FOO) must be lowercase",
		"kbb:@bad":         "invalid reference format",
		"web :1":           "invalid reference format",
	} {
		m, r := manager(critest.NewFakeImageService())
		_, err := m.Ensure(t.Context(), &v1.Pod{}, &v1.Container{Name: "a", Image: name}, nil)
		if !errors.Is(err, ErrInvalidImageName) {
			t.Errorf("%s: error %v, want %v", name, err, ErrInvalidImageName)
		}
		want := fmt.Sprintf("Warning InspectFailed Failed to apply default image tag %q: couldn't parse image name %q: %s", name, name, cause)
		if len(r.Events) != 1 {
			t.Errorf("%s: %d events, want one", name, len(r.Events))
		} else if got := <-r.Events; got != want {
			t.Errorf("%s: event %q, want %q", name, got, want)
		}
	}
}

// refuses fails every pull.
type refuses struct{ *critest.FakeImageService }

func (refuses) PullImage(context.Context, *runtimeapi.ImageSpec, *runtimeapi.AuthConfig, *runtimeapi.PodSandboxConfig) (string, error) {
	return "", errors.New("no such image")
}

func TestPullsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &Manager{Service: refuses{critest.NewFakeImageService()}, Secrets: secrets{}, Recorder: record.NewFakeRecorder(100)}
		p, c := &v1.Pod{}, &v1.Container{Name: "a", Image: "web:1"}
		p.UID = "u"
		ensure := func() error { _, err := m.Ensure(t.Context(), p, c, nil); return err }
		for i, wait := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second} {
			if err := ensure(); !errors.Is(err, ErrImagePull) {
				t.Fatalf("try %d: error %v, want %v", i, err, ErrImagePull)
			}
			time.Sleep(wait - time.Second)
			if err := ensure(); !errors.Is(err, ErrImagePullBackOff) {
				t.Fatalf("%v after failure %d: error %v, want %v", wait-time.Second, i, err, ErrImagePullBackOff)
			}
			time.Sleep(time.Second)
		}
		m.Forget(p)
		if err := ensure(); !errors.Is(err, ErrImagePull) {
			t.Errorf("a new pod begins with %v", err)
		}
	})
}

func TestCredentialsOfPullSecrets(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString([]byte("bob:secret:with:colons"))
	m := &Manager{Secrets: secrets{
		"json":   {Data: map[string][]byte{v1.DockerConfigJsonKey: []byte(`{"auths":{"https://registry.example.com/v1/":{"auth":"` + encoded + `"}}}`)}},
		"legacy": {Data: map[string][]byte{v1.DockerConfigKey: []byte(`{"registry.example.com":{"username":"amy","password":"pw"}}`)}},
		"broken": {Data: map[string][]byte{v1.DockerConfigJsonKey: []byte(`{`)}},
	}}
	pod := func(names ...string) *v1.Pod {
		p := &v1.Pod{}
		for _, n := range names {
			p.Spec.ImagePullSecrets = append(p.Spec.ImagePullSecrets, v1.LocalObjectReference{Name: n})
		}
		return p
	}
	found := m.credentials(t.Context(), pod("missing", "broken", "json", "legacy"), "registry.example.com/team/web:1")
	if len(found) != 2 || found[0].Username != "bob" || found[0].Password != "secret:with:colons" || found[1].Username != "amy" {
		t.Errorf("credentials %v", found)
	}
	m.Providers = func(_ context.Context, image string) []*runtimeapi.AuthConfig {
		return []*runtimeapi.AuthConfig{{Username: "plugin", Password: image}}
	}
	found = m.credentials(t.Context(), pod("json"), "registry.example.com/team/web:1")
	if last := found[len(found)-1]; len(found) < 2 || last.Username != "plugin" || last.Password != "registry.example.com/team/web:1" {
		t.Errorf("with a plugin: %v, want the secret's before the plugin's", found)
	}
	m.Providers = nil
	if found := m.credentials(t.Context(), pod("json"), "other.example.com/web:1"); len(found) != 1 || found[0] != nil {
		t.Errorf("another registry is sent %v", found)
	}
}

func TestTheLongerPathOfASecretComesFirst(t *testing.T) {
	m := &Manager{Secrets: secrets{"two": {Data: map[string][]byte{v1.DockerConfigKey: []byte(`{"registry.example.com":{"username":"all"},"registry.example.com/team":{"username":"team"}}`)}}}}
	p := &v1.Pod{Spec: v1.PodSpec{ImagePullSecrets: []v1.LocalObjectReference{{Name: "two"}}}}
	if found := m.credentials(t.Context(), p, "registry.example.com/team/web:1"); len(found) != 2 || found[0].Username != "team" {
		t.Errorf("credentials %v", found)
	}
}

func TestWithTag(t *testing.T) {
	byDigest := "web@sha256:" + strings.Repeat("0", 64)
	for image, want := range map[string]string{"web": "web:latest", "web:1": "web:1", "r:5000/web": "r:5000/web:latest", byDigest: byDigest} {
		if got, err := withTag(image); err != nil || got != want {
			t.Errorf("%s is %s (error %v), want %s", image, got, err, want)
		}
	}
}

func TestCollectFreesWhatNobodyUses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := critest.NewFakeImageService()
		f.SetFakeImageSize(100)
		f.SetFakeImagePinned("pinned", true)
		f.SetFakeImages([]string{"used", "old", "pinned"})
		m, _ := manager(f)
		full := uint64(90)
		go m.Collect(t.Context(), Limits{High: 85, Low: 80, MinAge: 2 * time.Minute},
			func(context.Context) (map[string]bool, error) { return map[string]bool{"used": true}, nil },
			func() (uint64, uint64, error) { return full, 100, nil })
		time.Sleep(3*collectEvery + time.Second)
		synctest.Wait()
		left, err := f.ListImages(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, i := range left {
			names[i.Id] = true
		}
		if !names["used"] || !names["pinned"] || names["old"] {
			t.Errorf("images left: %v, want the used and the pinned one", names)
		}
	})
}
