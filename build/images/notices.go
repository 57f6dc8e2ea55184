package images

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// notices gives the licence and notice files of every Go module linked into the image's programs, under
// usr/share/licenses/<module>/, and our own licence.
func (b Builder) notices(image Image) ([]file, error) {
	cache, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		return nil, fmt.Errorf("asking go for its module cache: %w", err)
	}
	seen := map[string]bool{}
	files := []file{{path: "usr/share/licenses/pilotis/LICENSE", mode: 0o644, source: filepath.Join(b.Root, "LICENSE")}}
	for _, name := range append(append([]string{}, image.Binaries...), image.Plugins...) {
		info, err := buildinfo.ReadFile(filepath.Join(b.Root, "bin", name))
		if err != nil {
			return nil, err
		}
		for _, dep := range info.Deps {
			if dep.Replace != nil {
				dep = dep.Replace
			}
			if seen[dep.Path] || strings.HasPrefix(dep.Path, ".") { // a folder of this repository
				continue
			}
			seen[dep.Path] = true
			dir := filepath.Join(strings.TrimSpace(string(cache)), escape(dep.Path)+"@"+escape(dep.Version))
			found, err := licenceFiles(dir, dep.Path)
			if err != nil {
				return nil, fmt.Errorf("licences of %s: %w", name, err)
			}
			files = append(files, found...)
		}
	}
	return files, nil
}

// licenceFiles gives those of the module unpacked at dir; there must be one.
func licenceFiles(dir, module string) ([]file, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("module %s is not in the module cache (make clean build fetches it again): %w", module, err)
	}
	var files []file
	for _, e := range entries {
		upper := strings.ToUpper(e.Name())
		if e.Type().IsRegular() && (strings.HasPrefix(upper, "LICENSE") || strings.HasPrefix(upper, "LICENCE") || strings.HasPrefix(upper, "NOTICE") || strings.HasPrefix(upper, "COPYING")) {
			files = append(files, file{path: "usr/share/licenses/" + module + "/" + e.Name(), mode: 0o644, source: filepath.Join(dir, e.Name())})
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("module %s has no licence file in %s", module, dir)
	}
	return files, nil
}

// escape is the module cache's spelling of upper-case letters.
func escape(path string) string {
	var b strings.Builder
	for _, r := range path {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte('!')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}
