package cluster

import (
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

// raiseSysctls raises what is below the minimum and remembers the values before, for Down to restore.
func (s *state) raiseSysctls() error {
	for name, minimum := range minimumSysctls {
		path := filepath.Join("/proc/sys", name)
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		before := strings.TrimSpace(string(data))
		if value, err := strconv.Atoi(before); err != nil || value >= minimum {
			continue
		}
		if _, known := s.Sysctls[name]; !known {
			s.Sysctls[name] = before
			if err := s.save(); err != nil {
				return err
			}
		}
		if err := os.WriteFile(path, []byte(strconv.Itoa(minimum)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (s *state) restoreSysctls() error {
	for name, value := range s.Sysctls {
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644); err != nil {
			return err
		}
	}
	return nil
}
