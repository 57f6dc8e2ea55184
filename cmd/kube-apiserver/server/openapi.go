package server

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emicklei/go-restful/v3"
	"github.com/munnerz/goautoneg"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/version"
	"k8s.io/klog/v2"
	builder2 "k8s.io/kube-openapi/pkg/builder"
	"k8s.io/kube-openapi/pkg/builder3"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/common/restfuladapter"
	"k8s.io/kube-openapi/pkg/handler"
	"k8s.io/kube-openapi/pkg/handler3"
	"k8s.io/kube-openapi/pkg/spec3"
)

// documents serves the OpenAPI of the core server. Nothing is built before somebody asks, and only the compressed text
// is kept: as Go values the documents would be a third of the server's memory.
type documents struct {
	container *restful.Container
	v2        *common.Config
	v3        *common.OpenAPIV3Config
	hash      string // names this build and its API; clients keep a document as long as its hash stays

	mu     sync.Mutex
	kept   map[string][]byte // gzip by path and form
	settle *time.Timer       // gives back the memory of building
}

// documentGarbage is when nobody works on a document that was built: the aggregator reads it, merges it and encodes it
// anew, which takes a multiple of its size.
const documentGarbage = 10 * time.Second

const (
	v2Path = "/openapi/v2"
	v3Path = "/openapi/v3"
	// The forms of a v3 document.
	formJSON  = "application/json"
	formProto = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"
	// formProtoOld is what clients before v1.27 ask for.
	formProtoOld = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf"
)

// installDocuments mounts the documents of s. It comes when all of its API is installed.
func installDocuments(s *genericapiserver.GenericAPIServer, v2 *common.Config, v3 *common.OpenAPIV3Config) {
	d := &documents{container: s.Handler.GoRestfulContainer, v2: v2, v3: v3, kept: map[string][]byte{}}
	d.hash = d.buildHash()
	s.Handler.NonGoRestfulMux.Handle(v2Path, http.HandlerFunc(d.serveV2))
	s.Handler.NonGoRestfulMux.Handle(v3Path, http.HandlerFunc(d.serveIndex))
	s.Handler.NonGoRestfulMux.HandlePrefix(v3Path+"/", http.HandlerFunc(d.serveV3))
}

// buildHash depends on the program and on what of its API is switched on, which is all that a document depends on.
func (d *documents) buildHash() string {
	h := sha256.New()
	_, _ = fmt.Fprintln(h, version.Get().String())
	if self, err := os.Stat("/proc/self/exe"); err == nil { // builds of one version during development
		_, _ = fmt.Fprintln(h, self.Size(), self.ModTime().UnixNano())
	}
	for _, g := range d.groups() {
		_, _ = fmt.Fprintln(h, g)
	}
	return strings.ToUpper(fmt.Sprintf("%x", h.Sum(nil)))
}

// groups are the paths with a document: api/v1, apis/apps/v1 …
func (d *documents) groups() []string {
	var out []string
	for _, ws := range d.container.RegisteredWebServices() {
		out = append(out, strings.TrimPrefix(ws.RootPath(), "/"))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (d *documents) serveIndex(w http.ResponseWriter, r *http.Request) {
	index := handler3.OpenAPIV3Discovery{Paths: map[string]handler3.OpenAPIV3DiscoveryGroupVersion{}}
	for _, g := range d.groups() {
		index.Paths[g] = handler3.OpenAPIV3DiscoveryGroupVersion{ServerRelativeURL: d.location(g)}
	}
	body, err := json.Marshal(index)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", formJSON)
	w.Header().Set("Etag", strconv.Quote(d.hash))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

func (d *documents) location(group string) string {
	return (&url.URL{Path: path.Join(v3Path, group), RawQuery: url.Values{"hash": {d.hash}}.Encode()}).String()
}

func (d *documents) serveV3(w http.ResponseWriter, r *http.Request) {
	group := strings.TrimPrefix(r.URL.Path, v3Path+"/")
	if !slices.Contains(d.groups(), group) {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Vary", "Accept")
	form, ok := negotiate(r.Header.Get("Accept"))
	if !ok {
		http.Error(w, "OpenAPI v3 is served as "+formJSON+" and "+formProto, http.StatusNotAcceptable)
		return
	}
	if hash := r.URL.Query().Get("hash"); hash != "" {
		if hash != d.hash {
			http.Redirect(w, r, d.location(group), http.StatusMovedPermanently)
			return
		}
		w.Header().Set("Cache-Control", "public, immutable")
		w.Header().Set("Expires", time.Now().AddDate(1, 0, 0).UTC().Format(http.TimeFormat))
	}
	d.serve(w, r, form, group+" "+form, func() ([]byte, error) {
		text, err := d.buildV3(group)
		if err != nil || form == formJSON {
			return text, err
		}
		return handler3.ToV3ProtoBinary(text)
	})
}

func negotiate(accept string) (form string, ok bool) {
	if accept == "" {
		return formJSON, true
	}
	for _, clause := range goautoneg.ParseAccept(accept) {
		switch full := clause.Type + "/" + clause.SubType; full {
		case formJSON, "*/*", "application/*":
			return formJSON, true
		case formProto, formProtoOld:
			return formProto, true
		}
	}
	return "", false
}

func (d *documents) serveV2(w http.ResponseWriter, r *http.Request) {
	d.serve(w, r, formJSON, v2Path, func() ([]byte, error) {
		document, err := builder2.BuildOpenAPISpecFromRoutes(restfuladapter.AdaptWebServices(d.container.RegisteredWebServices()), d.v2)
		if err != nil {
			return nil, err
		}
		document.Definitions = handler.PruneDefaults(document.Definitions)
		return json.Marshal(document)
	})
}

func (d *documents) buildV3(group string) ([]byte, error) {
	for _, ws := range d.container.RegisteredWebServices() {
		if strings.TrimPrefix(ws.RootPath(), "/") != group {
			continue
		}
		document, err := builder3.BuildOpenAPISpecFromRoutes(restfuladapter.AdaptWebServices([]*restful.WebService{ws}), d.v3)
		if err != nil {
			return nil, err
		}
		keepOwnKinds(document, group)
		return json.Marshal(document)
	}
	return nil, fmt.Errorf("no API at /%s", group)
}

// keepOwnKinds leaves of the types that belong to every group (WatchEvent, DeleteOptions) only the kinds of this
// document's group and of the core group.
func keepOwnKinds(document *spec3.OpenAPI, root string) {
	parts := strings.Split(root, "/")
	group, v := "", parts[len(parts)-1]
	if len(parts) == 3 {
		group = parts[1]
	}
	if document.Components == nil {
		return
	}
	const extension = "x-kubernetes-group-version-kind"
	for name, schema := range document.Components.Schemas {
		if !strings.HasSuffix(name, ".WatchEvent") && !strings.HasSuffix(name, ".DeleteOptions") {
			continue
		}
		kinds, ok := schema.Extensions[extension].([]any)
		if !ok {
			continue
		}
		kept := make([]any, 0, 2)
		for _, k := range kinds {
			m, _ := k.(map[string]any)
			if m["group"] == group && m["version"] == v || m["group"] == "" && m["version"] == "v1" {
				kept = append(kept, k)
			}
		}
		copied := *schema // the definition is shared with other documents
		copied.Extensions = map[string]any{}
		for k, value := range schema.Extensions {
			copied.Extensions[k] = value
		}
		copied.Extensions[extension] = kept
		document.Components.Schemas[name] = &copied
	}
}

// serve answers with what build makes, compressed when the client can read it.
func (d *documents) serve(w http.ResponseWriter, r *http.Request, form, key string, build func() ([]byte, error)) {
	zipped, err := d.keep(key, build)
	if err != nil {
		klog.FromContext(r.Context()).Error(err, "OpenAPI document not built", "document", key)
		http.Error(w, "building the OpenAPI document: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", form)
	w.Header().Set("Etag", strconv.Quote(d.hash))
	w.Header().Add("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && r.Header.Get("Range") == "" {
		w.Header().Set("Content-Encoding", "gzip")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(zipped))
		return
	}
	reader, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
}

// keep builds a document once. Documents are built one after the other: a client that asks for all must not take all
// memory.
func (d *documents) keep(key string, build func() ([]byte, error)) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if zipped, ok := d.kept[key]; ok {
		return zipped, nil
	}
	defer d.settleLater()
	text, err := build()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	writer := gzip.NewWriter(&out)
	if _, err := writer.Write(text); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	d.kept[key] = bytes.Clone(out.Bytes())
	return d.kept[key], nil
}

// settleLater returns to the system what building took, once for all documents that are asked for together.
func (d *documents) settleLater() {
	if d.settle == nil {
		d.settle = time.AfterFunc(documentGarbage, debug.FreeOSMemory)
		return
	}
	d.settle.Reset(documentGarbage)
}
