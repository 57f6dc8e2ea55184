package desired

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
)

// settle lets an editor finish the several steps by which it saves a file.
const settle = 100 * time.Millisecond

// Static reads static pods for this node.
type Static struct {
	Node   string
	Scheme *runtime.Scheme // with core/v1 and its defaults
}

func (s Static) decoder() decoder {
	codecs := serializer.NewCodecFactory(s.Scheme)
	return decoder{node: s.Node, scheme: s.Scheme, decoder: codecs.UniversalDeserializer()}
}

// WatchFiles gives set the pods of a manifest file, or of the files in a folder, at once, on every change, and every
// interval besides. It ends with ctx.
func (s Static) WatchFiles(ctx context.Context, path string, every time.Duration, set *Set) {
	logger := klog.FromContext(ctx).WithValues("path", path)
	known := map[types.UID]*v1.Pod{}
	scan := func() {
		pods, err := s.scan(logger, path)
		if err != nil {
			logger.Error(err, "Static pods cannot be read: those there are stay")
			return
		}
		// An unchanged manifest is the same pod: its object stays, and nobody is woken.
		for i, p := range pods {
			if have := known[p.UID]; have != nil {
				pods[i] = have
			}
		}
		clear(known)
		for _, p := range pods {
			known[p.UID] = p
		}
		set.Replace(File, pods)
	}
	var events chan fsnotify.Event
	if w, err := fsnotify.NewWatcher(); err != nil {
		logger.Error(err, "Changes of static pods are seen late: files cannot be watched", "every", every)
	} else {
		defer w.Close()
		if err := w.Add(path); err != nil {
			logger.Info("Static pod path cannot be watched yet", "reason", err.Error())
		}
		events = w.Events
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	scan()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-events:
			select {
			case <-ctx.Done():
				return
			case <-time.After(settle):
			}
			for len(events) > 0 {
				<-events
			}
		}
		scan()
	}
}

// scan decodes all manifests; one that is broken is logged and left out. An error says that the path cannot be read; one that does
// not exist has none.
func (s Static) scan(logger klog.Logger, path string) ([]*v1.Pod, error) {
	files, err := manifests(path)
	if err != nil {
		return nil, err
	}
	var pods []*v1.Pod
	d := s.decoder()
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err == nil {
			var found []*v1.Pod
			if found, err = d.static(data, File, f); err == nil {
				pods = append(pods, found...)
				continue
			}
		}
		logger.Error(err, "A static pod manifest is left out", "file", f)
	}
	return pods, nil
}

// manifests are the file itself, or those of a folder.
func manifests(path string) ([]string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil || !info.IsDir() {
		return []string{path}, err
	}
	entries, err := os.ReadDir(path)
	var files []string
	for _, e := range entries {
		if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	return files, err
}
