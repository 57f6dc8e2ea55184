package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"path"
	"runtime"
	"strings"
	"time"
)

// registry serves one image under every name and tag (OCI distribution specification, pulls alone): a file with a text.
func registry(args []string) error {
	flags := flag.NewFlagSet("registry", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:5055", "address")
	file := flags.String("file", "dir/file", "path of the file in the image")
	text := flags.String("text", "", "what the file holds")
	if err := flags.Parse(args); err != nil {
		return err
	}
	manifest, blobs, err := imageOf(*file, *text)
	if err != nil {
		return err
	}
	server := &http.Server{Addr: *listen, ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL.Path) // what was asked is in the pod's log
		kind, name := path.Split(strings.TrimPrefix(r.URL.Path, "/v2/"))
		switch {
		case name == "":
			return // the registry is there
		case strings.HasSuffix(kind, "/manifests/"):
			w.Header().Set("Docker-Content-Digest", digest(manifest))
			send(w, r, manifestType, manifest)
		case strings.HasSuffix(kind, "/blobs/") && blobs[name] != nil:
			send(w, r, "application/octet-stream", blobs[name])
		default:
			http.NotFound(w, r)
		}
	})}
	return server.ListenAndServe()
}

func send(w http.ResponseWriter, r *http.Request, kind string, data []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(data) // a client that has gone needs no answer
	}
}

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar"
)

func digest(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

// imageOf makes an image with one file: its manifest, and its blobs by their digest.
func imageOf(file, text string) (manifest []byte, blobs map[string][]byte, err error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := w.WriteHeader(&tar.Header{Name: file, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))}); err != nil {
		return nil, nil, err
	}
	if _, err := w.Write([]byte(text)); err != nil {
		return nil, nil, err
	}
	if err := w.Close(); err != nil {
		return nil, nil, err
	}
	config, err := json.Marshal(map[string]any{"architecture": runtime.GOARCH, "os": "linux", "config": map[string]any{}, "rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest(layer.Bytes())}}})
	if err != nil {
		return nil, nil, err
	}
	described := func(kind string, data []byte) map[string]any {
		return map[string]any{"mediaType": kind, "digest": digest(data), "size": len(data)}
	}
	manifest, err = json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": manifestType, "config": described(configType, config), "layers": []any{described(layerType, layer.Bytes())}})
	return manifest, map[string][]byte{digest(config): config, digest(layer.Bytes()): layer.Bytes()}, err
}
