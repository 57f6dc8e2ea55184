package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// UnmountBelow unmounts everything mounted below dir, deepest first; dir itself stays mounted. flags are umount2(2) flag names.
func (l *Local) UnmountBelow(dir string, flags []string) error {
	data, err := os.ReadFile(filepath.Join(l.proc, "self/mountinfo"))
	if err != nil {
		return err
	}
	bits := 0
	for _, flag := range flags {
		bits |= map[string]int{"MNT_FORCE": unix.MNT_FORCE, "MNT_DETACH": unix.MNT_DETACH, "MNT_EXPIRE": unix.MNT_EXPIRE, "UMOUNT_NOFOLLOW": unix.UMOUNT_NOFOLLOW}[flag]
	}
	var faults []error
	for _, mount := range mountsBelow(data, dir) {
		if err := unix.Unmount(mount, bits); err != nil && !errors.Is(err, unix.EINVAL) {
			faults = append(faults, fmt.Errorf("unmounting %s: %w", mount, err))
		}
	}
	return errors.Join(faults...)
}

// mountsBelow lists the mount points strictly below dir in a mountinfo table (proc(5)), deepest first.
func mountsBelow(mountinfo []byte, dir string) []string {
	prefix := strings.TrimSuffix(dir, "/") + "/"
	var out []string
	for line := range strings.Lines(string(mountinfo)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if point := unescape(fields[4]); strings.HasPrefix(point, prefix) {
			out = append(out, point)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return len(out[i]) > len(out[j]) })
	return out
}

// unescape turns the octal escapes of mountinfo (\040 for a space) back into bytes.
func unescape(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) {
			var code int
			if _, err := fmt.Sscanf(text[i+1:i+4], "%03o", &code); err == nil && code < 256 {
				out.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		out.WriteByte(text[i])
	}
	return out.String()
}
