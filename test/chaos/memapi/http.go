package memapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/version"
)

// Request is a request to the API, taken apart.
type Request struct {
	Kind                         Kind
	Verb                         string // get, list, watch, create, update, patch, delete, deletecollection; "" for what is not of a resource
	Namespace, Name, Subresource string
	Actor                        string
	Query                        url.Values
	Body                         []byte

	path      string
	metadata  bool // the client wants metadata only
	patchType types.PatchType
}

// Resource is the resource with its group and subresource, as a row of the controllers' table has it: "deployments.apps/status".
func (r *Request) Resource() string {
	text := r.Kind.GroupResource().String()
	if r.Subresource != "" {
		text += "/" + r.Subresource
	}
	return text
}

// Writes tells whether the request may change something.
func (r *Request) Writes() bool {
	return r.Verb != "" && r.Verb != "get" && r.Verb != "list" && r.Verb != "watch"
}

// Parse takes a request apart.
func (s *Server) Parse(req *http.Request) (*Request, error) {
	r := &Request{path: req.URL.Path, Query: req.URL.Query(), Actor: path.Base(req.UserAgent())}
	r.metadata = strings.Contains(req.Header.Get("Accept"), "as=PartialObjectMetadata")
	r.patchType = types.PatchType(req.Header.Get("Content-Type"))
	if req.Body != nil {
		var err error
		if r.Body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	parts := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
	gv := schema.GroupVersion{}
	switch {
	case parts[0] == "api" && len(parts) > 2:
		gv.Version, parts = parts[1], parts[2:]
	case parts[0] == "apis" && len(parts) > 3:
		gv, parts = schema.GroupVersion{Group: parts[1], Version: parts[2]}, parts[3:]
	default:
		return r, nil
	}
	if parts[0] == "namespaces" && len(parts) > 2 && parts[2] != "finalize" && parts[2] != "status" {
		r.Namespace, parts = parts[1], parts[2:]
	}
	r.Kind.GroupVersionResource = gv.WithResource(parts[0]) // which is not known, or not in this version
	if k, known := s.Kind(gv.Group, parts[0]); known && k.Version == gv.Version {
		r.Kind = k
	}
	if len(parts) > 1 {
		r.Name = parts[1]
	}
	if len(parts) > 2 {
		r.Subresource = parts[2]
	}
	r.Verb = verbOf(req.Method, r.Name != "", r.Query.Get("watch") != "" && r.Query.Get("watch") != "false")
	return r, nil
}

func verbOf(method string, named, watching bool) string {
	switch {
	case method == http.MethodPost:
		return "create"
	case method == http.MethodPut:
		return "update"
	case method == http.MethodPatch:
		return "patch"
	case method == http.MethodDelete && named:
		return "delete"
	case method == http.MethodDelete:
		return "deletecollection"
	case named:
		return "get"
	case watching:
		return "watch"
	}
	return "list"
}

// Transport is a client's connection to a server.
type Transport struct {
	Server *Server
	View   View
}

// RoundTrip implements http.RoundTripper.
func (t Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	r, err := t.Server.Parse(req)
	if err != nil {
		return nil, err
	}
	return t.Server.Do(req, r, t.View), nil
}

// Do answers a request; req is what the response says it is the answer to.
func (s *Server) Do(req *http.Request, r *Request, v View) *http.Response {
	var answer any
	var err error
	switch {
	case r.Verb == "watch":
		stream, watchErr := s.watch(r, v)
		if watchErr == nil {
			return respond(req, http.StatusOK, stream.open())
		}
		err = watchErr
	case r.Verb == "" || r.Kind.Kind == "":
		answer, err = s.about(r)
	default:
		s.mu.Lock()
		answer, err = s.resource(r, v)
		s.mu.Unlock()
	}
	if err != nil {
		return Refuse(req, err)
	}
	code := http.StatusOK
	if r.Verb == "create" {
		code = http.StatusCreated
	}
	data, err := json.Marshal(answer)
	if err != nil {
		return Refuse(req, err)
	}
	return respond(req, code, io.NopCloser(bytes.NewReader(data)))
}

// Refuse is the answer that says err.
func Refuse(req *http.Request, err error) *http.Response {
	status := apierrors.NewInternalError(err).ErrStatus
	var known apierrors.APIStatus
	if errors.As(err, &known) {
		status = known.Status()
	}
	status.APIVersion, status.Kind = "v1", "Status"
	data, _ := json.Marshal(status)
	res := respond(req, int(status.Code), io.NopCloser(bytes.NewReader(data)))
	if status.Details != nil && status.Details.RetryAfterSeconds > 0 {
		res.Header.Set("Retry-After", strconv.Itoa(int(status.Details.RetryAfterSeconds)))
	}
	return res
}

func respond(req *http.Request, code int, body io.ReadCloser) *http.Response {
	return &http.Response{
		Status: strconv.Itoa(code) + " " + http.StatusText(code), StatusCode: code, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: body, ContentLength: -1, Request: req,
	}
}

// about answers what is not about objects: discovery, the version, reviews.
func (s *Server) about(r *Request) (any, error) {
	parts := strings.Split(strings.Trim(r.path, "/"), "/")
	switch {
	case r.path == "/version":
		return version.Info{Major: "1", Minor: "37", GitVersion: "v1.37.0"}, nil
	case r.path == "/api":
		return metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}}, nil
	case r.path == "/apis":
		return s.groups(), nil
	case parts[0] == "api" && len(parts) == 2:
		return s.resources(schema.GroupVersion{Version: parts[1]}), nil
	case parts[0] == "apis" && len(parts) == 3:
		return s.resources(schema.GroupVersion{Group: parts[1], Version: parts[2]}), nil
	case r.Kind.Resource == "subjectaccessreviews":
		review := map[string]any{}
		if err := json.Unmarshal(r.Body, &review); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		review["status"] = map[string]any{"allowed": true}
		return review, nil
	}
	if s.Extra != nil {
		if answer, ok := s.Extra(r.path, r.Query); ok {
			return answer, nil
		}
	}
	return nil, apierrors.NewNotFound(r.Kind.GroupResource(), r.Name)
}

func (r *Request) selection() (selection, error) {
	sel := selection{namespace: r.Namespace}
	var err error
	if sel.labels, err = labels.Parse(r.Query.Get("labelSelector")); err != nil {
		return sel, apierrors.NewBadRequest(err.Error())
	}
	if sel.fields, err = fields.ParseSelector(r.Query.Get("fieldSelector")); err != nil {
		return sel, apierrors.NewBadRequest(err.Error())
	}
	return sel, nil
}

// form is how the client wants objects.
func (r *Request) form(o *Object) any {
	if !r.metadata {
		return o.Object
	}
	return map[string]any{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": o.Object["metadata"]}
}

func (r *Request) watchEnd() time.Time {
	seconds, _ := strconv.Atoi(r.Query.Get("timeoutSeconds"))
	if seconds == 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(seconds) * time.Second)
}

func (s *Server) watch(r *Request, v View) (*stream, error) {
	sel, err := r.selection()
	if err != nil {
		return nil, err
	}
	st := &stream{
		server: s, kind: r.Kind, sel: sel, view: v, form: r.form, end: r.watchEnd(),
		streamed: r.Query.Get("sendInitialEvents") == "true", bookmarks: r.Query.Get("allowWatchBookmarks") == "true",
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rv := r.Query.Get("resourceVersion")
	if st.streamed || rv == "" || rv == "0" {
		st.initial, st.from = s.list(r.Kind, sel, rv, v)
		return st, nil
	}
	st.from = parseVersion(rv)
	return st, nil
}

// resource answers a request about objects.
func (s *Server) resource(r *Request, v View) (any, error) {
	switch r.Verb {
	case "get":
		if r.Subresource == "scale" {
			return objectOf(s.scale(r.Actor, r.Kind, r.Namespace, r.Name, nil))
		}
		o, err := s.find(r.Kind, r.Namespace, r.Name)
		if err != nil {
			return nil, err
		}
		return r.form(o), nil
	case "list":
		return s.listed(r, v)
	case "delete", "deletecollection":
		return s.deleted(r, v)
	case "patch":
		if r.Kind.Resource == "events" {
			return json.RawMessage(r.Body), nil
		}
		o, err := s.patch(r.Actor, r.Kind, r.Namespace, r.Name, r.Subresource, r.patchType, r.Body)
		if err != nil {
			return nil, err
		}
		return r.form(o), nil
	}
	return s.written(r)
}

func objectOf(o *Object, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return o.Object, nil
}

func (s *Server) written(r *Request) (any, error) {
	o := &Object{}
	if err := o.UnmarshalJSON(r.Body); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if r.Kind.Resource == "events" {
		if s.Told != nil {
			s.Told(o)
		}
		return json.RawMessage(r.Body), nil // no controller reads them
	}
	if r.Subresource == "scale" {
		return objectOf(s.scale(r.Actor, r.Kind, r.Namespace, r.Name, o))
	}
	if r.Verb == "create" {
		o.SetNamespace(r.Namespace)
		prune(o.Object, "metadata")
		return objectOf(s.create(r.Actor, r.Kind, o))
	}
	return objectOf(s.update(r.Actor, r.Kind, o, r.Subresource))
}

func (s *Server) listed(r *Request, v View) (any, error) {
	sel, err := r.selection()
	if err != nil {
		return nil, err
	}
	objects, version := s.list(r.Kind, sel, r.Query.Get("resourceVersion"), v)
	items := make([]any, 0, len(objects))
	for _, o := range objects {
		items = append(items, r.form(o))
	}
	list := map[string]any{
		"apiVersion": r.Kind.GroupVersion().String(), "kind": r.Kind.Kind + "List", "items": items,
		"metadata": map[string]any{"resourceVersion": strconv.FormatInt(version, 10)},
	}
	if r.metadata {
		list["apiVersion"], list["kind"] = "meta.k8s.io/v1", "PartialObjectMetadataList"
	}
	return list, nil
}

func (s *Server) deleted(r *Request, v View) (any, error) {
	var o metav1.DeleteOptions
	if len(r.Body) > 0 {
		if err := json.Unmarshal(r.Body, &o); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	}
	if r.Verb == "delete" {
		gone, err := s.delete(r.Actor, r.Kind, r.Namespace, r.Name, o)
		if err != nil {
			return nil, err
		}
		return r.form(gone), nil
	}
	sel, err := r.selection()
	if err != nil {
		return nil, err
	}
	objects, _ := s.list(r.Kind, sel, "", v)
	for _, found := range objects {
		if _, err := s.delete(r.Actor, r.Kind, found.GetNamespace(), found.GetName(), o); err != nil && !apierrors.IsNotFound(err) {
			return nil, err
		}
	}
	return metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusSuccess}, nil
}
