package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	yamlType      = "application/yaml"
	jsonType      = "application/json"
	jsonPatch     = "application/json-patch+json"
	mergePatch    = "application/merge-patch+json"
	strategic     = "application/strategic-merge-patch+json"
	applyYAML     = "application/apply-patch+yaml"
	mebibyte      = 1 << 20
	patchesAtMost = 10000
)

// CVE-2019-11253, CVE-2019-1002100 and their like: what grows when it is read is refused at once, and costs no memory.
func TestBombsAreRefused(t *testing.T) {
	ns := shared.namespace(t)
	shared.define(t, "bombs.example.com", "Bomb", "Namespaced")
	made(shared.client.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}}, metav1.CreateOptions{})).or(t)
	quota := `{"apiVersion":"v1","kind":"ResourceQuota","metadata":{"name":"q"},"spec":{"hard":{"pods":"1e-10000000"}}}`
	made(shared.client.CoreV1().ResourceQuotas(ns).Create(t.Context(), &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "q"}}, metav1.CreateOptions{})).or(t)
	quotas, tiny := "/api/v1/namespaces/"+ns+"/resourcequotas", []int{http.StatusBadRequest, http.StatusUnprocessableEntity}
	limits := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i","resources":{"limits":{"cpu":"1e-10000000"}}}]}}`
	metrics, err := json.Marshal(`[{"type":"Resource","resource":{"name":"cpu","targetAverageValue":"1e-10000000"}}]`)
	if err != nil {
		t.Fatal(err)
	}
	scaler := `{"apiVersion":"autoscaling/v1","kind":"HorizontalPodAutoscaler","metadata":{"name":"h","annotations":{"autoscaling.alpha.kubernetes.io/metrics":` + string(metrics) +
		`}},"spec":{"maxReplicas":1,"scaleTargetRef":{"kind":"Deployment","name":"d","apiVersion":"apps/v1"}}}`
	maps, bombs := "/api/v1/namespaces/"+ns+"/configmaps", "/apis/example.com/v1/namespaces/"+ns+"/bombs"
	const reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" // everybody may create one
	deep := func(n int) string {
		return `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"x":` + strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n+1)
	}
	operations := func(n int) string {
		return "[" + strings.Repeat(`{"op":"test","path":"/metadata/name","value":"c"},`, n) + `{"op":"add","path":"/data","value":{}}]`
	}
	tooMuch, malformed := []int{http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusBadRequest}, []int{http.StatusBadRequest}
	for name, bomb := range map[string]struct {
		verb, path, contentType, body string
		want                          []int
	}{
		"aliases":                        {"POST", maps, yamlType, aliases("v1", "ConfigMap"), malformed},
		"aliases by anybody":             {"POST", reviews, yamlType, aliases("authorization.k8s.io/v1", "SelfSubjectAccessReview"), malformed},
		"aliases in a custom resource":   {"POST", bombs, yamlType, aliases("example.com/v1", "Bomb"), malformed},
		"aliases applied":                {"PATCH", maps + "/c?fieldManager=x", applyYAML, aliases("v1", "ConfigMap"), malformed},
		"aliases applied to custom":      {"PATCH", bombs + "/c?fieldManager=x", applyYAML, aliases("example.com/v1", "Bomb"), malformed},
		"copies of copies":               {"PATCH", maps + "/c", jsonPatch, copies(), tooMuch},
		"operations":                     {"PATCH", maps + "/c", jsonPatch, operations(patchesAtMost), []int{http.StatusRequestEntityTooLarge}},
		"depth":                          {"POST", maps, jsonType, deep(200000), malformed},
		"depth in a custom resource":     {"POST", bombs, jsonType, deep(200000), malformed},
		"depth in YAML":                  {"POST", maps, yamlType, "a: " + strings.Repeat("[", 200000), malformed},
		"depth in a merge patch":         {"PATCH", maps + "/c", mergePatch, deep(200000), malformed},
		"depth in a strategic patch":     {"PATCH", maps + "/c", strategic, deep(200000), malformed},
		"size":                           {"POST", maps, jsonType, `{"data":{"a":"` + strings.Repeat("x", 4*mebibyte) + `"}}`, []int{http.StatusRequestEntityTooLarge}},
		"size in a patch":                {"PATCH", maps + "/c", mergePatch, `{"data":{"a":"` + strings.Repeat("x", 4*mebibyte) + `"}}`, []int{http.StatusRequestEntityTooLarge}},
		"size of a number":               {"POST", reviews, jsonType, `{"spec":{"resourceAttributes":{"name":` + strings.Repeat("9", mebibyte) + `}}}`, malformed},
		"a quantity":                     {"POST", quotas, jsonType, quota, tiny},
		"a quantity in YAML":             {"POST", quotas, yamlType, quota, tiny},
		"a quantity, put":                {"PUT", quotas + "/q", jsonType, quota, tiny},
		"a quantity, merged":             {"PATCH", quotas + "/q", mergePatch, quota, tiny},
		"a quantity, merged by strategy": {"PATCH", quotas + "/q", strategic, quota, tiny},
		"a quantity, patched":            {"PATCH", quotas + "/q", jsonPatch, `[{"op":"add","path":"/spec/hard","value":{"pods":"1e-10000000"}}]`, tiny},
		"a quantity, applied":            {"PATCH", quotas + "/q?fieldManager=x", applyYAML, quota, tiny},
		"a quantity, applied anew":       {"PATCH", quotas + "/r?fieldManager=x", applyYAML, strings.Replace(quota, `"q"`, `"r"`, 1), tiny},
		"a quantity of a status":         {"PATCH", quotas + "/q/status", strategic, `{"status":{"used":{"pods":"1e-10000000"}}}`, tiny},
		"a limit":                        {"POST", "/api/v1/namespaces/" + ns + "/pods", jsonType, limits, tiny},
		"a quantity in an annotation":    {"POST", "/apis/autoscaling/v1/namespaces/" + ns + "/horizontalpodautoscalers", jsonType, scaler, tiny},
		"digits of a quantity":           {"POST", quotas, jsonType, strings.Replace(quota, "1e-10000000", strings.Repeat("9", mebibyte), 1), tiny},
		"protobuf that announces a gulf": {"POST", maps, "application/vnd.kubernetes.protobuf", "k8s\x00\x0a\xff\xff\xff\xff\x07", malformed},
	} {
		resetPeak(t, shared.PID)
		before, began := memory(t, shared.PID, "VmRSS"), time.Now()
		got := callerOf(t, shared.admin).mustSend(t, bomb.verb, bomb.path, bomb.body, "Content-Type", bomb.contentType)
		if !slices.Contains(bomb.want, got.code) {
			t.Errorf("%s: %v, want %v", name, got, bomb.want)
		}
		if slices.Equal(bomb.want, tiny) && !strings.Contains(got.body, "must have at most 100 characters") {
			t.Errorf("%s: %v tells of no quantity", name, got)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: answered after %v", name, took)
		}
		if grown := memory(t, shared.PID, "VmHWM") - before; grown > 256*mebibyte {
			t.Errorf("%s: the server grew by %d MiB", name, grown/mebibyte)
		}
	}
	mention := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"a":"1e-10000000"}}`
	for _, form := range []string{mergePatch, strategic, applyYAML} {
		if got := callerOf(t, shared.admin).mustSend(t, "PATCH", maps+"/c?fieldManager="+form[:12], mention, "Content-Type", form); got.code != http.StatusOK {
			t.Errorf("what looks like a quantity, and is none, as %s: %v", form, got)
		}
	}
	got := callerOf(t, shared.admin).mustSend(t, "PATCH", maps+"/c", operations(patchesAtMost-1), "Content-Type", jsonPatch)
	if got.code != http.StatusOK {
		t.Errorf("a patch of as many operations as are allowed: %v", got)
	}
}

// aliases is a small document that means a thousand million strings.
func aliases(apiVersion, kind string) string {
	text := fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata:\n  name: c\na0: &a0 [%s]\n", apiVersion, kind, strings.Repeat(`"x",`, 10))
	for i := 1; i < 9; i++ {
		text += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10))
	}
	return text
}

// copies is a patch each of whose operations doubles the object.
func copies() string {
	text := `[{"op":"add","path":"/data","value":{"a":"` + strings.Repeat("x", 1024) + `"}}`
	for i := range 40 {
		text += fmt.Sprintf(`,{"op":"copy","from":"/data","path":"/data/a%d"}`, i)
	}
	return text + "]"
}

// memory is a figure of a process in bytes.
func memory(t *testing.T, pid int, name string) int {
	t.Helper()
	status := string(made(os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))).or(t))
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return 1024 * made(strconv.Atoi(strings.Fields(value)[0])).or(t)
		}
	}
	t.Fatalf("%s is not in %s", name, status)
	return 0
}

// resetPeak lets VmHWM begin anew.
func resetPeak(t *testing.T, pid int) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}
