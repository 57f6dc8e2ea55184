package auth

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"k8s.io/klog/v2"
)

// watchFile calls changed with each new content of a file until ctx ends, and again each minute as long as changed
// answers false: what the content refers to may be there later. It watches the directory, because editors
// and ConfigMap volumes replace files by renaming, and looks once a minute on its own, because some file systems
// send no events.
func watchFile(ctx context.Context, file string, last []byte, changed func(data []byte) bool) {
	logger := klog.FromContext(ctx)
	var events chan fsnotify.Event
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		err = watcher.Add(filepath.Dir(file))
		events = watcher.Events
	}
	if err != nil {
		logger.Error(err, "Changes of the file are seen within a minute only", "file", file)
	}
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	var refused []byte
	for {
		again := false
		select {
		case <-ctx.Done():
			return
		case <-events:
		case <-tick.C:
			again = true
		}
		data, err := os.ReadFile(file)
		if err != nil {
			logger.Error(err, "Could not reread the file", "file", file)
			continue
		}
		if bytes.Equal(data, last) || (refused != nil && bytes.Equal(data, refused) && !again) {
			continue
		}
		if changed(data) {
			last, refused = data, nil
		} else {
			refused = data
		}
	}
}
