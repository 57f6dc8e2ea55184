package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// manifests lists the files that the arguments name; of a directory and what lies below it, those with a known ending.
// What cannot be read is told in the error, and does not hide the others.
func manifests(args []string) ([]string, error) {
	var out []string
	var unread []error
	for _, arg := range args {
		if arg == "-" {
			out = append(out, arg)
			continue
		}
		info, err := os.Stat(arg)
		if err != nil {
			unread = append(unread, err)
			continue
		}
		if !info.IsDir() {
			out = append(out, arg)
			continue
		}
		before, faults := len(out), len(unread)
		_ = filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				unread = append(unread, err)
			} else if !d.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
				out = append(out, path)
			}
			return nil
		})
		if len(out) == before && len(unread) == faults {
			unread = append(unread, fmt.Errorf("%s holds no .yaml, .yml or .json file", arg))
		}
	}
	return out, errors.Join(unread...)
}
