package desired

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"pilotis.dev/api/quantities"
)

const manifest = "apiVersion: v1\nkind: Pod\nmetadata: {name: Web, namespace: kube-system}\nspec: {containers: [{name: a, image: 'i:1'}]}\n"

func static(t testing.TB) Static {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return Static{Node: "node-a", Scheme: scheme}
}

func TestStaticPodsHaveTheNodesNameAndTheManifestsUID(t *testing.T) {
	d := static(t).decoder()
	decode := func(text, where string) *v1.Pod {
		pods, err := d.static([]byte(text), File, where)
		if err != nil || len(pods) != 1 {
			t.Fatalf("%d pods, error %v", len(pods), err)
		}
		return pods[0]
	}
	p := decode(manifest, "/m/web.yaml")
	if p.Name != "web-node-a" || p.Namespace != "kube-system" || p.Spec.NodeName != "node-a" {
		t.Errorf("pod %s/%s on %s", p.Namespace, p.Name, p.Spec.NodeName)
	}
	if p.Annotations[AnnotationHash] != string(p.UID) || p.Annotations[AnnotationSource] != File || p.Annotations[AnnotationSeen] == "" || !IsStatic(p) || IsMirror(p) {
		t.Errorf("annotations %v", p.Annotations)
	}
	if again := decode(manifest, "/m/web.yaml"); again.UID != p.UID {
		t.Error("a kubelet that starts anew takes an unchanged manifest for another pod")
	}
	if other := decode(strings.Replace(manifest, "i:1", "i:2", 1), "/m/web.yaml"); other.UID == p.UID {
		t.Error("a changed manifest is the same pod")
	}
	if other := decode(manifest, "/m/copy.yaml"); other.UID == p.UID {
		t.Error("two files are one pod")
	}
	if !toleratesEviction(p) {
		t.Error("a static pod is evicted by its node's own taints")
	}
}

func toleratesEviction(p *v1.Pod) bool {
	for _, tol := range p.Spec.Tolerations {
		if tol.Operator == v1.TolerationOpExists && tol.Effect == v1.TaintEffectNoExecute && tol.Key == "" {
			return true
		}
	}
	return false
}

func TestManifestFaults(t *testing.T) {
	d := static(t).decoder()
	for name, text := range map[string]string{"no YAML": "{", "another kind": "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n", "unknown kind": "apiVersion: v9\nkind: Pod\n"} {
		if _, err := d.static([]byte(text), File, "/m/x.yaml"); err == nil || !strings.Contains(err.Error(), "/m/x.yaml") {
			t.Errorf("%s: error %v, want one that names the file", name, err)
		}
	}
	list := "apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n- metadata: {name: b}\n"
	if pods, err := d.static([]byte(list), HTTP, "http://x"); err != nil || len(pods) != 2 || pods[1].Name != "b-node-a" || pods[0].Namespace != "default" {
		t.Errorf("a list gives %d pods, error %v", len(pods), err)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(manifest))
	f.Add([]byte("kind: PodList"))
	d := static(f).decoder()
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, excessive := quantities.Defuse(runtime.ContentTypeYAML, data); excessive != "" {
			return // takes seconds; who writes manifests is root
		}
		pods, err := d.static(data, File, "f")
		for _, p := range pods {
			if err == nil && (p.UID == "" || !strings.HasSuffix(p.Name, "-node-a")) {
				t.Errorf("pod %q has UID %q", p.Name, p.UID)
			}
		}
	})
}

func TestScanLeavesBrokenAndHiddenFilesOut(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"web.yaml": manifest, "broken.yaml": "{", ".web.yaml.swp": manifest} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if pods, err := static(t).scan(klog.Background(), dir); err != nil || len(pods) != 1 || pods[0].Name != "web-node-a" {
		t.Errorf("pods %v, want web alone", pods)
	}
	if pods, err := static(t).scan(klog.Background(), filepath.Join(dir, "web.yaml")); err != nil || len(pods) != 1 {
		t.Errorf("a single file gives %d pods", len(pods))
	}
	if pods, err := static(t).scan(klog.Background(), filepath.Join(dir, "missing")); err != nil || len(pods) != 0 {
		t.Errorf("no folder gives %d pods, error %v", len(pods), err)
	}
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	if pods, err := static(t).scan(klog.Background(), loop); err == nil {
		t.Errorf("a folder that cannot be read gives %d pods, and no error: it ends those there are", len(pods))
	}
}

// told collects what a set's listeners are told.
type told chan types.UID

func (c told) next(t *testing.T) types.UID {
	t.Helper()
	select {
	case uid := <-c:
		return uid
	case <-time.After(10 * time.Second):
		t.Fatal("nobody was told")
		return ""
	}
}

func TestWatchFilesFollowsTheFolder(t *testing.T) {
	dir, set, changes := t.TempDir(), NewSet(File), make(told, 16)
	listen(set, func(uid types.UID) { changes <- uid })
	file := filepath.Join(dir, "web.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	go static(t).WatchFiles(t.Context(), dir, time.Hour, set)
	first := changes.next(t)
	if p := set.Get(first); p == nil || !set.AllReady() {
		t.Fatal("the manifest's pod is not there")
	}
	if err := os.WriteFile(file, []byte(strings.Replace(manifest, "i:1", "i:2", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	a, b := changes.next(t), changes.next(t)
	if set.Get(first) != nil || (a != first && b != first) {
		t.Error("the old manifest's pod stays")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	changes.next(t)
	if len(set.Pods()) != 0 {
		t.Error("a removed manifest's pod stays")
	}
}

func TestWatchURL(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Token") != "t" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		_, _ = w.Write([]byte(manifest))
	}))
	defer server.Close()
	set, changes := NewSet(HTTP), make(told, 16)
	listen(set, func(uid types.UID) { changes <- uid })
	go static(t).WatchURL(t.Context(), server.URL, map[string][]string{"X-Token": {"t"}}, time.Hour, set)
	if p := set.Get(changes.next(t)); p == nil || p.Annotations[AnnotationSource] != HTTP {
		t.Errorf("pod %v", p)
	}
}

func TestSetKeepsMirrorsApart(t *testing.T) {
	set := NewSet(File, API)
	var changes []types.UID
	listen(set, func(uid types.UID) { changes = append(changes, uid) })
	own := &v1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "static", Namespace: "ns", Name: "web-node-a", Annotations: map[string]string{AnnotationSource: File}}}
	mirror := &v1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "mirror", Namespace: "ns", Name: "web-node-a", Annotations: map[string]string{AnnotationMirror: "x"}}}
	orphan := mirror.DeepCopy()
	orphan.Name, orphan.UID = "gone-node-a", "orphan"
	set.Replace(File, []*v1.Pod{own})
	if set.AllReady() {
		t.Error("the API has not told its pods yet")
	}
	set.Update(API, mirror)
	set.Update(API, orphan)
	set.Ready(API)
	if !set.AllReady() || len(set.Pods()) != 1 || set.Get("mirror") != nil || set.Mirror(own) != mirror {
		t.Errorf("pods %v: a mirror is no pod to run", set.Pods())
	}
	if changes[len(changes)-1] != "static" {
		t.Errorf("told of %v, want the static pod when its mirror came", changes)
	}
	if o := set.OrphanMirrors(); len(o) != 1 || o[0] != orphan {
		t.Errorf("orphans %v", o)
	}
	set.Remove(API, mirror)
	if set.Mirror(own) != nil {
		t.Error("the mirror stays")
	}
}

func TestNobodyButAKubeletMakesAPodStatic(t *testing.T) {
	p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{AnnotationSource: File}}}
	if IsStatic(fromAPI(p)) || !IsStatic(p) {
		t.Error("an annotation from the API makes a pod static, or the shared object was changed")
	}
}
