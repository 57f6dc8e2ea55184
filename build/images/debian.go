package images

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

// libraryDirs is where Debian's loader finds shared libraries on amd64 and arm64.
var libraryDirs = []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/lib64", "/lib", "/usr/lib"}

// debianPrograms gives the files that the programs named need at run time: the programs, their loader and,
// transitively, their shared libraries, each with its package's copyright file.
func debianPrograms(names []string) ([]file, error) {
	found := map[string]bool{}
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			return nil, fmt.Errorf("program %q is not on this machine: install its Debian package (make deps): %w", name, err)
		}
		if err := closure(path, found); err != nil {
			return nil, err
		}
	}
	var files []file
	for path := range found {
		files = append(files, file{path: strings.TrimPrefix(path, "/"), mode: 0o755, source: path})
	}
	notices, err := debianNotices(found)
	return append(files, notices...), err
}

// closure adds path, its interpreter and the libraries that it names, at the paths the loader looks for them.
func closure(path string, found map[string]bool) error {
	if found[path] {
		return nil
	}
	found[path] = true
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	defer f.Close()
	if s := f.Section(".interp"); s != nil {
		interp, err := s.Data()
		if err != nil {
			return err
		}
		found[strings.TrimRight(string(interp), "\x00")] = true
	}
	libraries, err := f.ImportedLibraries()
	if err != nil {
		return err
	}
	for _, lib := range libraries {
		p, err := findLibrary(lib)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := closure(p, found); err != nil {
			return err
		}
	}
	return nil
}

func findLibrary(name string) (string, error) {
	for _, dir := range libraryDirs {
		p := filepath.Join(dir, name)
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("library %s not found in %s", name, strings.Join(libraryDirs, ", "))
}

// debianNotices gives the copyright files of the packages that own the files.
func debianNotices(found map[string]bool) ([]file, error) {
	packages := map[string]bool{}
	for path := range found {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			return nil, err
		}
		// dpkg knows a file by its path before or after /usr was merged.
		for _, p := range []string{real, strings.TrimPrefix(real, "/usr"), path} {
			out, err := exec.Command("dpkg-query", "-S", p).Output()
			if err == nil {
				name, _, _ := strings.Cut(string(out), ":")
				packages[name] = true
				break
			}
		}
	}
	names := make([]string, 0, len(packages))
	for name := range packages {
		names = append(names, name)
	}
	sort.Strings(names)
	var files []file
	for _, name := range names {
		path := "usr/share/doc/" + name + "/copyright"
		if _, err := os.Stat("/" + path); err == nil {
			files = append(files, file{path: path, mode: 0o644, source: "/" + path})
		}
	}
	return files, nil
}
