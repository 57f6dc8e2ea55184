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
)

// minimumSysctls are machine-wide limits that several nodes on one kernel exhaust.
var minimumSysctls = map[string]int{
	"fs/inotify/max_user_instances": 8192,
	"fs/inotify/max_user_watches":   524288,
}

// sysctls raises machine-wide settings for all clusters of a state folder and puts them back after the last.
type sysctls struct {
	root   string // /proc/sys
	before string // the file that remembers the values of before
}

func (c Config) sysctls() sysctls {
	return sysctls{root: "/proc/sys", before: filepath.Join(c.StateDir, "sysctls.json")}
}

// raise raises what is below the minimum. The value before is on disk before it changes; a later cluster, which finds
// the raised value, does not forget it.
func (s sysctls) raise() error {
	before, err := s.remembered()
	if err != nil {
		return err
	}
	for name, minimum := range minimumSysctls {
		path := filepath.Join(s.root, name)
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		now := strings.TrimSpace(string(data))
		if value, err := strconv.Atoi(now); err != nil || value >= minimum {
			continue
		}
		if _, known := before[name]; !known {
			before[name] = now
			if err := s.remember(before); err != nil {
				return err
			}
		}
		if err := os.WriteFile(path, []byte(strconv.Itoa(minimum)), 0o644); err != nil {
			return fmt.Errorf("raising sysctl %s to %d: %w", name, minimum, err)
		}
	}
	return nil
}

// restore puts the values of before back and forgets them.
func (s sysctls) restore() error {
	before, err := s.remembered()
	if err != nil {
		return err
	}
	for name, value := range before {
		if err := os.WriteFile(filepath.Join(s.root, name), []byte(value), 0o644); err != nil {
			return fmt.Errorf("putting sysctl %s back to %s: %w", name, value, err)
		}
	}
	if err := os.Remove(s.before); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (s sysctls) remembered() (map[string]string, error) {
	before := map[string]string{}
	data, err := os.ReadFile(s.before)
	if errors.Is(err, fs.ErrNotExist) {
		return before, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &before); err != nil {
		return nil, fmt.Errorf("reading %s, the kernel settings before the first cluster: %w: remove it", s.before, err)
	}
	return before, nil
}

func (s sysctls) remember(before map[string]string) error {
	data, err := json.Marshal(before)
	if err != nil {
		return err
	}
	return writeFile(s.before, data)
}
