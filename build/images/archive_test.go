package images

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// workshop is a repository with a licence and a built pause.
func workshop(t *testing.T) Builder {
	t.Helper()
	root := t.TempDir()
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", filepath.Join(root, "bin", "pause"), "pilotis.dev/build/cmd/pause")
	build.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building pause: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(root, "LICENSE"), []byte("the licence"), 0o644); err != nil {
		t.Fatal(err)
	}
	return Builder{Root: root, Log: io.Discard}
}

func pause(t *testing.T) Image {
	t.Helper()
	i := slices.IndexFunc(All, func(i Image) bool { return i.Name == "pause" })
	if i < 0 {
		t.Fatal("there is no image pause")
	}
	return All[i]
}

// Equal programs give equal archives, wherever and whenever they are made.
func TestArchivesAreTheSameByteForByte(t *testing.T) {
	var first []byte
	for range 2 {
		b := workshop(t)
		if err := b.Build("pause"); err != nil {
			t.Fatal(err)
		}
		archive, err := os.ReadFile(b.Path(pause(t)))
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = archive
		} else if !bytes.Equal(first, archive) {
			t.Error("two builds of one image differ")
		}
	}
}

func TestAnArchiveIsWrittenWhenItsContentChanged(t *testing.T) {
	b := workshop(t)
	var log bytes.Buffer
	b.Log = &log
	written := func() bool {
		t.Helper()
		log.Reset()
		if err := b.Build("pause"); err != nil {
			t.Fatal(err)
		}
		return log.Len() > 0
	}
	if !written() || written() {
		t.Error("an archive is not written at first, or written again without a change")
	}
	if err := os.WriteFile(filepath.Join(b.Root, "LICENSE"), []byte("another licence"), 0o644); err != nil {
		t.Fatal(err)
	}
	if !written() {
		t.Error("a changed file does not reach the archive")
	}
	if err := os.Remove(b.Path(pause(t))); err != nil {
		t.Fatal(err)
	}
	if !written() {
		t.Error("an archive that was removed is not made again")
	}
}

// unpack reads the archive as a container runtime does, and gives the paths of all layers.
func unpack(t *testing.T, archive string) (user string, entrypoint, paths []string) {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("tar", "-xf", archive, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		content, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		for r := tar.NewReader(content); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if h.Uid != 0 || h.Gid != 0 || h.ModTime.Unix() != 0 {
				t.Errorf("%s is owned by %d:%d and dated %v", h.Name, h.Uid, h.Gid, h.ModTime)
			}
			paths = append(paths, h.Name)
		}
		content.Close()
	}
	return config.Config.User, config.Config.Entrypoint, paths
}

func TestImageHoldsItsProgramItsUserAndLicences(t *testing.T) {
	b := workshop(t)
	if err := b.Build("pause"); err != nil {
		t.Fatal(err)
	}
	user, entrypoint, paths := unpack(t, b.Path(pause(t)))
	if user != nonRoot || !slices.Equal(entrypoint, []string{"/usr/local/bin/pause"}) {
		t.Errorf("it runs %v as %q", entrypoint, user)
	}
	for _, want := range []string{"usr/local/bin/pause", "usr/share/licenses/pilotis/LICENSE", "usr/share/licenses/golang.org/x/sys/LICENSE", "etc/passwd", "tmp/"} {
		if !slices.Contains(paths, want) && (want != "usr/share/licenses/golang.org/x/sys/LICENSE" || usesSys(t, b)) {
			t.Errorf("it lacks %s; it has %v", want, paths)
		}
	}
}

// usesSys reports whether pause is linked with golang.org/x/sys, whose licence must lie beside it then.
func usesSys(t *testing.T, b Builder) bool {
	t.Helper()
	out, err := exec.Command("go", "version", "-m", filepath.Join(b.Root, "bin", "pause")).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(out), "golang.org/x/sys")
}

// Parts that need no privilege by themselves do not run as root; the others are named here, with the reason.
func TestImagesDoNotRunAsRootWithoutNeed(t *testing.T) {
	root := map[string]string{
		"etcd": "its data folder on the node is root's", "kube-apiserver": "static pod: keys on the node are root's", "kube-controller-manager": "as kube-apiserver",
		"kube-scheduler": "as kube-apiserver", "kube-proxy": "writes rules of the kernel", "cni": "writes links and rules of the kernel",
	}
	for _, image := range All {
		if _, needs := root[image.Name]; image.User != nonRoot && !needs {
			t.Errorf("image %s runs as root", image.Name)
		}
	}
}

func TestUnknownImagesAndLicencesAreTold(t *testing.T) {
	b := workshop(t)
	if err := b.Build("puase"); err == nil || !strings.Contains(err.Error(), `unknown image "puase"`) {
		t.Errorf("an unknown image: %v", err)
	}
	if _, err := licenceFiles(t.TempDir(), "example.org/module"); err == nil || !strings.Contains(err.Error(), "example.org/module") {
		t.Errorf("a module without a licence: %v", err)
	}
}
