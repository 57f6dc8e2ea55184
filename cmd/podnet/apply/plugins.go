package apply

import (
	"fmt"
	"os"
	"path/filepath"
)

// InstallPlugins puts the programs of folder from into folder to, each at once whole: the container runtime may
// be running the one that it replaces.
func InstallPlugins(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("CNI plugins to install: %w", err)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			return err
		}
		if err := writeWhole(filepath.Join(to, e.Name()), data, 0o755); err != nil {
			return fmt.Errorf("installing CNI plugin %s: %w", e.Name(), err)
		}
	}
	return nil
}

// writeWhole replaces path by a file with data, unless it holds just that.
func writeWhole(path string, data []byte, mode os.FileMode) error {
	if have, err := os.ReadFile(path); err == nil && string(have) == string(data) {
		return nil
	}
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.WriteFile(tmp, data, mode); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
