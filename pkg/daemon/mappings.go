package daemon

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

// mapping is a part of the process's memory as /proc/PID/maps tells it (proc(5)).
type mapping struct {
	start, length uintptr
	mode          string // as in "r-xp"
	path          string // of anonymous memory "", or a name in brackets
}

func (m mapping) file() bool { return strings.HasPrefix(m.path, "/") }

// eachMapping calls do for each mapping of this process.
func eachMapping(do func(mapping)) error {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer maps.Close()
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		if m, ok := parseMapping(lines.Text()); ok {
			do(m)
		}
	}
	return lines.Err()
}

func parseMapping(line string) (m mapping, ok bool) {
	var end uintptr
	var offset, device string
	var inode uint64
	if _, err := fmt.Sscanf(line, "%x-%x %s %s %s %d", &m.start, &end, &m.mode, &offset, &device, &inode); err != nil || len(m.mode) != 4 {
		return mapping{}, false
	}
	m.length = end - m.start
	if i := strings.IndexAny(line, "/["); i >= 0 {
		m.path = line[i:]
	}
	return m, true
}
