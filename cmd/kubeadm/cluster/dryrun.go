package cluster

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// DryRun returns a client of no server: every write is described on out and answered as if it had succeeded; reads find nothing
// but the node of that name. Secret contents are not printed.
func DryRun(out io.Writer, node string) (kubernetes.Interface, error) {
	return clientset(&rest.Config{
		Host:          "https://dry-run.invalid",
		Transport:     &dryRunTransport{out: out, node: node},
		ContentConfig: rest.ContentConfig{ContentType: runtime.ContentTypeJSON},
	})
}

type dryRunTransport struct {
	out  io.Writer
	node string
}

func (t *dryRunTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet {
		if r.URL.Path == "/api/v1/nodes/"+t.node {
			return t.answer(r, http.StatusOK, &corev1.Node{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}, ObjectMeta: metav1.ObjectMeta{Name: t.node, Labels: map[string]string{corev1.LabelHostname: t.node}}})
		}
		status := apierrors.NewNotFound(schema.GroupResource{Resource: path.Base(path.Dir(r.URL.Path))}, path.Base(r.URL.Path)).Status()
		status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
		return t.answer(r, http.StatusNotFound, &status)
	}
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	t.describe(r, body)
	code := http.StatusOK
	switch r.Method {
	case http.MethodPost:
		code = http.StatusCreated
	case http.MethodPatch:
		// A patch is no object; the only thing kubeadm patches is its own node.
		return t.answer(r, code, &corev1.Node{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}, ObjectMeta: metav1.ObjectMeta{Name: t.node}})
	case http.MethodDelete:
		return t.answer(r, code, &metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusSuccess})
	}
	return respond(r, code, body), nil
}

func (t *dryRunTransport) describe(r *http.Request, body []byte) {
	fmt.Fprintf(t.out, "[dryrun] Would perform action %s on %s\n", r.Method, r.URL.Path)
	if len(body) == 0 || strings.Contains(r.URL.Path, "/secrets") {
		return
	}
	text, err := yaml.JSONToYAML(body)
	if err != nil {
		return
	}
	for line := range strings.Lines(string(text)) {
		fmt.Fprintf(t.out, "\t%s", line)
	}
}

func (t *dryRunTransport) answer(r *http.Request, code int, object runtime.Object) (*http.Response, error) {
	data, err := runtime.Encode(scheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion, metav1.SchemeGroupVersion), object)
	if err != nil {
		return nil, err
	}
	return respond(r, code, data), nil
}

func respond(r *http.Request, code int, body []byte) *http.Response {
	return &http.Response{
		Status: http.StatusText(code), StatusCode: code, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header:        http.Header{"Content-Type": []string{runtime.ContentTypeJSON}},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
	}
}
