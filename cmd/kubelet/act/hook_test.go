package act

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/ptr"

	"pilotis.dev/cmd/kubelet/fields"
	"pilotis.dev/cmd/kubelet/plan"
)

// asked is a server that answers every hook with a failure, and tells what it was asked.
func asked(t *testing.T) (*http.Request, *v1.HTTPGetAction) {
	t.Helper()
	got := &http.Request{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*got = *r
		w.WriteHeader(http.StatusInternalServerError)
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return got, &v1.HTTPGetAction{Host: u.Hostname(), Port: intstr.FromInt(port), Path: "/bye?now=1", HTTPHeaders: []v1.HTTPHeader{{Name: "host", Value: "web.example"}, {Name: "Authorization", Value: "Basic x"}}}
}

func TestHTTPHook(t *testing.T) {
	a, _ := actor(t, nil)
	got, get := asked(t)
	if err := a.httpHook(t.Context(), fields.Pod{Pod: pod(nil)}, &v1.Container{}, get); err != nil {
		t.Errorf("a hook that is answered, with whichever status: %v", err)
	}
	if got.Host != "web.example" || got.RequestURI != "/bye?now=1" || !strings.HasPrefix(got.UserAgent(), "kube-lifecycle/") || got.Header.Get("Authorization") == "" {
		t.Errorf("asked %s%s by %s", got.Host, got.RequestURI, got.UserAgent())
	}
	get.Host = ""
	if err := a.httpHook(t.Context(), fields.Pod{Pod: pod(nil)}, &v1.Container{}, get); err == nil {
		t.Error("a pod without address is asked")
	}
	get.Host, get.Port = "127.0.0.1", intstr.FromInt(1)
	if err := a.httpHook(t.Context(), fields.Pod{Pod: pod(nil)}, &v1.Container{}, get); err == nil {
		t.Error("a hook that nobody answers is no failure")
	}
}

func TestAnHTTPSHookThatIsAnsweredInHTTPFallsBack(t *testing.T) {
	a, _ := actor(t, nil)
	got, get := asked(t)
	get.Scheme = v1.URISchemeHTTPS
	if err := a.httpHook(t.Context(), fields.Pod{Pod: pod(nil)}, &v1.Container{}, get); err != nil {
		t.Fatal(err)
	}
	if got.Host != "web.example" || got.Header.Get("Authorization") != "" {
		t.Errorf("asked %s with %v, want no credentials in the open", got.Host, got.Header)
	}
	if event := <-a.Recorder.(*record.FakeRecorder).Events; !strings.HasPrefix(event, "Warning LifecycleHTTPFallback request to HTTPS lifecycle hook "+get.Host) {
		t.Errorf("event %q", event)
	}
}

func TestAFailedPostStartHookEndsTheContainerAsAlways(t *testing.T) {
	a, f := actor(t, nil)
	p := pod(func(p *v1.Pod) {
		p.Spec.TerminationGracePeriodSeconds = ptr.To[int64](20)
		p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PostStart: &v1.LifecycleHandler{TCPSocket: &v1.TCPSocketAction{}}, PreStop: &v1.LifecycleHandler{Sleep: &v1.SleepAction{Seconds: 5}}}
	})
	sandbox, err := a.SandboxConfig(p, 0)
	if err != nil {
		t.Fatal(err)
	}
	sandbox.LogDirectory = t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := a.Start(t.Context(), Environment{Pod: fields.Pod{Pod: p}, SandboxID: "s", Sandbox: sandbox}, plan.Start{Container: &p.Spec.Containers[0], Kind: plan.Regular})
		if err == nil || time.Since(began) != 5*time.Second || len(f.stopped) != 1 || f.graces[f.stopped[0]] != 15 {
			t.Errorf("error %v after %v, given %v; want the preStop hook, and what it leaves of 20 s", err, time.Since(began), f.graces)
		}
	})
}
