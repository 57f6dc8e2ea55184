// Package plugins finds the plugins of this node: a plugin puts a socket into the registration folder, the kubelet asks
// it there who it is, and tells it whether it was taken (k8s.io/kubelet/pkg/apis/pluginregistration).
package plugins

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/klog/v2"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// Handler takes plugins of one type.
type Handler interface {
	// Register takes a plugin that answers at the socket endpoint. It may be called again for the same name: the
	// plugin was restarted.
	Register(ctx context.Context, name, endpoint string, versions []string) error
	// Deregister forgets a plugin whose registration socket is gone.
	Deregister(name string)
}

// Watcher follows the registration folder.
type Watcher struct {
	dir      string
	handlers map[string]Handler // by plugin type

	mu    sync.Mutex
	found map[string]*plugin // by socket
}

type plugin struct {
	kind, name string
	stop       context.CancelFunc
}

// New returns a watcher of dir for the plugin types that handlers has.
func New(dir string, handlers map[string]Handler) *Watcher {
	return &Watcher{dir: dir, handlers: handlers, found: map[string]*plugin{}}
}

const (
	dialTimeout = 10 * time.Second
	firstRetry  = 500 * time.Millisecond
	mostRetry   = time.Minute
)

// Run registers the plugins that are there and that come, until ctx ends. Only a folder that cannot be watched is an
// error.
func (w *Watcher) Run(ctx context.Context) error {
	if err := os.MkdirAll(w.dir, 0o750); err != nil {
		return err
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching %s: %w", w.dir, err)
	}
	defer notify.Close() // the process ends its watches
	w.scan(ctx, notify, w.dir)
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, ok := <-notify.Events:
			if !ok {
				return errors.New("the file system's notifications ended")
			}
			if event.Has(fsnotify.Create) {
				w.scan(ctx, notify, event.Name)
			}
			if event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename) {
				w.gone(ctx, event.Name)
			}
		case err := <-notify.Errors:
			klog.FromContext(ctx).Error(err, "Following the plugins' folder failed, looking at all of it", "path", w.dir)
			w.scan(ctx, notify, w.dir)
		}
	}
}

// scan registers sockets at and below path and watches its folders. Hidden names are no plugins.
func (w *Watcher) scan(ctx context.Context, notify *fsnotify.Watcher, path string) {
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil // gone again meanwhile
		case strings.HasPrefix(d.Name(), ".") && p != w.dir:
			if d.IsDir() {
				return filepath.SkipDir
			}
		case d.IsDir():
			return notify.Add(p)
		case d.Type()&fs.ModeSocket != 0:
			w.came(ctx, p)
		}
		return nil
	})
	if err != nil {
		klog.FromContext(ctx).Error(err, "A folder of plugins cannot be watched", "path", path)
	}
}

// came registers the plugin behind a socket; the socket of a plugin that was restarted replaces the old one.
func (w *Watcher) came(ctx context.Context, socket string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if old := w.found[socket]; old != nil {
		old.stop()
	}
	ctx, stop := context.WithCancel(ctx)
	p := &plugin{stop: stop}
	w.found[socket] = p
	go w.register(ctx, socket, p)
}

func (w *Watcher) gone(ctx context.Context, socket string) {
	w.mu.Lock()
	p := w.found[socket]
	delete(w.found, socket)
	w.mu.Unlock()
	if p == nil {
		return
	}
	p.stop()
	if h := w.handlers[p.kind]; h != nil && p.name != "" {
		klog.FromContext(ctx).Info("A plugin has gone", "type", p.kind, "name", p.name)
		h.Deregister(p.name)
	}
}

// register tries until the plugin is taken or its socket goes.
func (w *Watcher) register(ctx context.Context, socket string, p *plugin) {
	logger := klog.FromContext(ctx).WithValues("socket", socket)
	for wait := firstRetry; ; wait = min(2*wait, mostRetry) {
		err := w.once(ctx, socket, p)
		if err == nil || ctx.Err() != nil {
			return
		}
		logger.Error(err, "A plugin could not be registered, trying again", "after", wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (w *Watcher) once(ctx context.Context, socket string, p *plugin) error {
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close() // one exchange
	client := registration.NewRegistrationClient(conn)
	asking, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	info, err := client.GetInfo(asking, &registration.InfoRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return fmt.Errorf("asking the plugin who it is: %w", err)
	}
	endpoint := info.Endpoint
	if endpoint == "" {
		endpoint = socket
	}
	taken := w.hand(ctx, info, endpoint)
	status := &registration.RegistrationStatus{PluginRegistered: taken == nil}
	if taken != nil {
		status.Error = "RegisterPlugin error -- plugin registration failed with err: " + taken.Error()
	} else {
		w.mu.Lock()
		p.kind, p.name = info.Type, info.Name
		w.mu.Unlock()
		klog.FromContext(ctx).Info("Registered a plugin", "type", info.Type, "name", info.Name, "endpoint", endpoint)
	}
	telling, cancelTelling := context.WithTimeout(ctx, dialTimeout)
	defer cancelTelling()
	_, err = client.NotifyRegistrationStatus(telling, status)
	return errors.Join(taken, err)
}

func (w *Watcher) hand(ctx context.Context, info *registration.PluginInfo, endpoint string) error {
	h := w.handlers[info.Type]
	if h == nil {
		return fmt.Errorf("no handler registered for plugin type: %s", info.Type)
	}
	if info.Name == "" {
		return errors.New("the plugin has no name")
	}
	return h.Register(ctx, info.Name, endpoint, info.SupportedVersions)
}
