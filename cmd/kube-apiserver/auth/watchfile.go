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

// watchFile calls changed with each new content of a file until ctx ends. It watches the directory, because editors
// and ConfigMap volumes replace files by renaming, and looks once a minute on its own, because some file systems
// send no events.
func watchFile(ctx context.Context, file string, last []byte, changed func(data []byte)) {
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
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
		case <-tick.C:
		}
		data, err := os.ReadFile(file)
		if err != nil {
			logger.Error(err, "Could not reread the file", "file", file)
			continue
		}
		if bytes.Equal(data, last) {
			continue
		}
		last = data
		changed(data)
	}
}
