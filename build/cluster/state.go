package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// state is what a cluster must remember to be found again and to be taken down whole.
type state struct {
	mu        sync.Mutex
	Config    Config
	APIPort   int
	Token     string
	Processes map[string]process // a node's init by the node's name, and "forward"
	Setup     map[string]setup   // how far kubeadm came, by the node's name
}

// setup is how far kubeadm came on a node. One that it began and did not finish is made anew by the next Up.
type setup string

const (
	setupBegun setup = "begun"
	setupDone  setup = "done"
)

// process is a PID together with its start time, so that a PID used anew is not mistaken for it.
type process struct {
	PID     int
	Started uint64 // in clock ticks after boot, field 22 of /proc/PID/stat
}

func (c Config) dir() string                  { return filepath.Join(c.StateDir, c.Name) }
func (c Config) nodeDir(node string) string   { return filepath.Join(c.dir(), "nodes", node) }
func (c Config) stateFile() string            { return filepath.Join(c.dir(), "state.json") }
func (c Config) Kubeconfig() string           { return filepath.Join(c.dir(), "admin.conf") }
func (c Config) namespace(node string) string { return "pilotis-" + c.Name + "-" + node }
func (c Config) bin(name string) string       { return filepath.Join(c.Root, "bin", name) }

// ErrNoCluster means that nothing of the cluster exists.
var ErrNoCluster = errors.New("there is no such cluster: make up brings one up")

func (c Config) load() (*state, error) {
	data, err := os.ReadFile(c.stateFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cluster %q: %w", c.Name, ErrNoCluster)
	}
	if err != nil {
		return nil, err
	}
	s := &state{}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("reading %s: %w; make down CLUSTER=%s removes the cluster", c.stateFile(), err, c.Name)
	}
	if s.Processes == nil {
		s.Processes = map[string]process{}
	}
	if s.Setup == nil {
		s.Setup = map[string]setup{}
	}
	return s, nil
}

func (s *state) save() error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(s.Config.stateFile(), data)
}

// mark notes how far kubeadm came on the node; nodes join at once.
func (s *state) mark(n Node, how setup) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Setup[n.Name] = how
	return s.save()
}

// writeFile replaces the file whole, so that a tool that is killed leaves the old one or the new one.
func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// identify notes the start time of a process that runs now.
func identify(pid int) (process, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	// The command, in parentheses, may hold spaces; field 3 follows its last closing one.
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return process{}, fmt.Errorf("process %d has ended", pid)
	}
	started, err := strconv.ParseUint(fields[19], 10, 64)
	return process{PID: pid, Started: started}, err
}

func (p process) alive() bool {
	if p.PID == 0 {
		return false
	}
	now, err := identify(p.PID)
	return err == nil && now == p
}

// kill ends p, and with a node's init all of the node.
func (p process) kill() error {
	if !p.alive() {
		return nil
	}
	if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("ending process %d: %w", p.PID, err)
	}
	return nil
}
