// Package testimage makes the image that the pods of the tests run: busybox and this module's programs.
package testimage

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// applets are the names under which busybox works in the image.
var applets = []string{"sh", "ls", "cat", "wget", "nc", "sleep", "echo", "nslookup", "hostname", "httpd", "ps", "id", "env", "date", "touch", "mkdir", "rm", "tar", "sed", "grep", "head", "tail", "test", "true", "false"}

// programs are the commands of this module that the image holds in /bin.
var programs = []string{"testserver", "witness"}

// Name is the image's name in the nodes.
const Name = "pilotis.dev/test/busybox:1"

// SampleServer is the image of k8s.io/sample-apiserver and etcd (build/images/table.go).
const SampleServer = "pilotis.dev/sample-apiserver:v0.37.2"

// LoadSampleServer imports the image SampleServer, which is built, into every node of the cluster.
func LoadSampleServer(root, cluster string) error {
	return load(root, cluster, filepath.Join(root, "out/images/sample-apiserver.tar"))
}

// Load writes the image to dir, beside the programs that it holds, and imports it into every node of the cluster.
// root is the repository's.
func Load(root, cluster, dir string) error {
	archive := filepath.Join(dir, "busybox.tar")
	if err := write(archive, Name); err != nil {
		return err
	}
	return load(root, cluster, archive)
}

func load(root, cluster, archive string) error {
	if out, err := exec.Command(filepath.Join(root, "bin/cluster"), "load", "--name="+cluster, "--image="+archive).CombinedOutput(); err != nil {
		return fmt.Errorf("loading %s: %w: %s", archive, err, out)
	}
	return nil
}

// write writes an image archive (the format of docker save) with the machine's static busybox and programs.
func write(path, name string) error {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("busybox-static is not installed (make deps): %w", err)
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	entry := func(h *tar.Header, data []byte) error {
		h.Size = int64(len(data))
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err := w.Write(data)
		return err
	}
	for _, dir := range []string{"bin/", "tmp/", "etc/"} {
		if err := entry(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o777}, nil); err != nil {
			return err
		}
	}
	if err := entry(&tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755}, program); err != nil {
		return err
	}
	for _, name := range programs {
		data, err := buildProgram(filepath.Dir(path), name)
		if err != nil {
			return err
		}
		if err := entry(&tar.Header{Name: "bin/" + name, Typeflag: tar.TypeReg, Mode: 0o755}, data); err != nil {
			return err
		}
	}
	for _, a := range applets {
		if err := entry(&tar.Header{Name: "bin/" + a, Typeflag: tar.TypeSymlink, Linkname: "busybox"}, nil); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(layer.Bytes()))
	config, err := json.Marshal(map[string]any{"architecture": runtime.GOARCH, "os": "linux", "config": map[string]any{"Env": []string{"PATH=/bin"}, "Entrypoint": []string{"busybox"}, "Cmd": []string{"sh"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest}}})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	archive := tar.NewWriter(f)
	for _, e := range []struct {
		name string
		data []byte
	}{{"config.json", config}, {"layer.tar", layer.Bytes()}, {"manifest.json", manifest}} {
		if err := archive.WriteHeader(&tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.data))}); err != nil {
			return err
		}
		if _, err := archive.Write(e.data); err != nil {
			return err
		}
	}
	return archive.Close()
}

// buildProgram builds the command test/e2e/<name> below dir and gives what it made.
func buildProgram(dir, name string) ([]byte, error) {
	path := filepath.Join(dir, name)
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", path, "pilotis.dev/test/e2e/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	return os.ReadFile(path)
}
