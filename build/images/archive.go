package images

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Builder makes archives under Root/out/images from the programs under Root/bin.
type Builder struct {
	Root string
	Log  io.Writer // one line an archive that is written
}

// Path is the archive of image.
func (b Builder) Path(image Image) string {
	return filepath.Join(b.Root, "out", "images", image.Name+".tar")
}

// Build writes the archives of the images named, or of all that a cluster has. An archive whose contents did not change
// is left alone.
func (b Builder) Build(names ...string) error {
	known, chosen := slices.Concat(All, Tests), All
	if len(names) > 0 {
		chosen = nil
	}
	for _, name := range names {
		i := slices.IndexFunc(known, func(i Image) bool { return i.Name == name })
		if i < 0 {
			return fmt.Errorf("unknown image %q: build/images/table.go lists them", name)
		}
		chosen = append(chosen, known[i])
	}
	for _, image := range chosen {
		if err := b.build(image); err != nil {
			return fmt.Errorf("image %s: %w", image.Reference(), err)
		}
	}
	return nil
}

func (b Builder) build(image Image) error {
	layers, err := b.layers(image)
	if err != nil {
		return err
	}
	img, err := assemble(image, layers)
	if err != nil {
		return err
	}
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	stamp := b.Path(image) + ".digest"
	if have, err := os.ReadFile(stamp); err == nil && string(have) == digest.String() {
		if _, err := os.Stat(b.Path(image)); err == nil {
			return nil
		}
	}
	if err := os.MkdirAll(filepath.Dir(stamp), 0o755); err != nil {
		return err
	}
	if err := writeArchive(b.Path(image), image.Reference(), img); err != nil {
		return err
	}
	fmt.Fprintf(b.Log, "  %-45s %s\n", image.Reference(), digest.String()[:19])
	return os.WriteFile(stamp, []byte(digest.String()), 0o644)
}

// layers gives the files of the image: what changes least comes first.
func (b Builder) layers(image Image) ([]v1.Layer, error) {
	var layers []v1.Layer
	add := func(files []file) error {
		content, err := tarOf(files)
		if err == nil {
			layers = append(layers, static.NewLayer(content, types.OCIUncompressedLayer))
		}
		return err
	}
	if err := add(skeleton()); err != nil {
		return nil, err
	}
	if len(image.Programs) > 0 {
		files, err := debianPrograms(image.Programs)
		if err != nil {
			return nil, err
		}
		if err := add(files); err != nil {
			return nil, err
		}
	}
	if len(image.Plugins) > 0 {
		var files []file
		for _, p := range image.Plugins {
			files = append(files, file{path: "usr/local/lib/cni/" + filepath.Base(p), mode: 0o755, source: filepath.Join(b.Root, "bin", p)})
		}
		if err := add(files); err != nil {
			return nil, err
		}
	}
	for _, name := range image.Binaries {
		if err := add([]file{{path: "usr/local/bin/" + name, mode: 0o755, source: filepath.Join(b.Root, "bin", name)}}); err != nil {
			return nil, err
		}
	}
	notices, err := b.notices(image)
	if err != nil {
		return nil, err
	}
	if err := add(notices); err != nil {
		return nil, err
	}
	return layers, nil
}

// skeleton is what programs expect of any root: users, a place for temporary files.
func skeleton() []file {
	return []file{
		{path: "etc/", mode: 0o755},
		{path: "etc/passwd", mode: 0o644, data: []byte("root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")},
		{path: "etc/group", mode: 0o644, data: []byte("root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n")},
		{path: "etc/nsswitch.conf", mode: 0o644, data: []byte("hosts: files dns\n")},
		{path: "tmp/", mode: 0o1777},
	}
}

func assemble(image Image, layers []v1.Layer) (v1.Image, error) {
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	img, err := mutate.ConfigFile(img, &v1.ConfigFile{
		Architecture: runtime.GOARCH,
		OS:           "linux",
		Created:      v1.Time{Time: time.Unix(0, 0).UTC()},
		Config: v1.Config{
			Entrypoint: image.Entrypoint,
			User:       image.User,
			Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
			Labels:     map[string]string{"org.opencontainers.image.licenses": "Apache-2.0", "org.opencontainers.image.version": image.Tag},
		},
	})
	if err != nil {
		return nil, err
	}
	return mutate.AppendLayers(img, layers...)
}

// writeArchive writes img as an OCI archive (a tar of an image layout) that containerd imports as reference.
func writeArchive(path, reference string, img v1.Image) error {
	dir, err := os.MkdirTemp(filepath.Dir(path), "layout-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	_, tag, _ := strings.Cut(filepath.Base(reference), ":")
	if err := l.AppendImage(img, layout.WithAnnotations(map[string]string{
		"io.containerd.image.name":          reference,
		"org.opencontainers.image.ref.name": tag,
	}), layout.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH})); err != nil {
		return err
	}
	var files []file
	err = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		files = append(files, file{path: rel, mode: 0o644, source: p})
		return err
	})
	if err != nil {
		return err
	}
	out, err := os.CreateTemp(filepath.Dir(path), "archive-")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	if err := writeTar(out, files); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Rename(out.Name(), path)
}

// file is an entry of a layer: a directory (its path ends in a slash), a link, data, or the file at source.
type file struct {
	path   string
	mode   int64
	link   string
	data   []byte
	source string
}

func tarOf(files []file) ([]byte, error) {
	var b bytes.Buffer
	err := writeTar(&b, files)
	return b.Bytes(), err
}

// writeTar writes files sorted by path, owned by root and dated 1970, so that equal files give equal bytes.
func writeTar(w io.Writer, files []file) error {
	sort.Slice(files, func(i, j int) bool { return files[i].path < files[j].path })
	t := tar.NewWriter(w)
	for _, f := range files {
		h := &tar.Header{Name: f.path, Mode: f.mode, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
		switch {
		case strings.HasSuffix(f.path, "/"):
			h.Typeflag = tar.TypeDir
		case f.link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, f.link
		case f.source != "":
			info, err := os.Stat(f.source)
			if err != nil {
				return err
			}
			h.Typeflag, h.Size = tar.TypeReg, info.Size()
		default:
			h.Typeflag, h.Size = tar.TypeReg, int64(len(f.data))
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if err := writeContent(t, f); err != nil {
			return err
		}
	}
	return t.Close()
}

func writeContent(w io.Writer, f file) error {
	if f.source == "" {
		_, err := w.Write(f.data)
		return err
	}
	in, err := os.Open(f.source)
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = io.Copy(w, in)
	return err
}
