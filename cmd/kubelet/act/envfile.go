package act

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"
)

// maxEnvFile is how long an env file may be.
const maxEnvFile = 64 << 10

// fileKey reads a variable from an env file that an init container wrote to a volume (KEP-3721); skip: it is optional and not there.
// Errors do not quote the file, which may hold secrets.
func fileKey(volumes map[string]Volume, ref *v1.FileKeySelector) (value string, skip bool, err error) {
	optional := ptr.Deref(ref.Optional, false)
	volume, mounted := volumes[ref.VolumeName]
	if !mounted && !optional {
		return "", false, fmt.Errorf("no container mounts the volume %q, so nothing can have written the env file %q", ref.VolumeName, ref.Path)
	}
	text, err := readEnvFile(volume.HostPath, ref.Path)
	if errors.Is(err, fs.ErrNotExist) && optional {
		return "", true, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("env file %q of volume %q cannot be read: %w", ref.Path, ref.VolumeName, err)
	}
	values, err := parseEnvFile(text)
	if err != nil {
		return "", false, fmt.Errorf("env file %q of volume %q cannot be read: %w", ref.Path, ref.VolumeName, err)
	}
	value, ok := values[ref.Key]
	if !ok && !optional {
		return "", false, fmt.Errorf("couldn't find key %q in env file %q of volume %q", ref.Key, ref.Path, ref.VolumeName)
	}
	return value, !ok, nil
}

// readEnvFile reads a file that a container made: no link of it leads out of the volume, and nothing but a file is waited for.
func readEnvFile(volume, path string) (string, error) {
	root, err := os.OpenRoot(volume)
	if err != nil {
		return "", err
	}
	defer root.Close() // a folder handle
	f, err := root.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", errors.Join(errors.New("it is no regular file"), err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxEnvFile+1))
	if len(data) > maxEnvFile {
		return "", fmt.Errorf("it is longer than %d bytes", maxEnvFile)
	}
	return string(data), err
}

// parseEnvFile reads declarations VAR='value'. A value is in single quotes, and what is between them is literal, over several lines
// too. A comment is a line of its own or follows a value.
func parseEnvFile(text string) (map[string]string, error) {
	values := map[string]string{}
	for rest := text; ; {
		rest = strings.TrimLeft(rest, " \t\r\n")
		if rest == "" {
			return values, nil
		}
		if rest[0] == '#' {
			_, rest, _ = strings.Cut(rest, "\n")
			continue
		}
		line := 1 + strings.Count(text[:len(text)-len(rest)], "\n")
		name, after, _ := strings.Cut(rest, "=")
		quoted, opened := strings.CutPrefix(strings.TrimLeft(after, " \t"), "'")
		value, tail, closed := strings.Cut(quoted, "'")
		if !opened || !closed {
			return nil, fmt.Errorf("line %d is not of the form VAR='value'", line)
		}
		name = strings.TrimRight(name, " \t")
		if strings.ContainsAny(name, " \t") || len(validation.IsRelaxedEnvVarName(name)) > 0 {
			return nil, fmt.Errorf("line %d names no variable", line)
		}
		tail, rest, _ = strings.Cut(tail, "\n")
		if comment := strings.TrimLeft(tail, " \t\r"); comment != "" && (comment == tail || comment[0] != '#') {
			return nil, fmt.Errorf("line %d: more than a comment follows the value", line)
		}
		values[name] = value
	}
}
