package host

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// tcpListen is the state of a listening socket in /proc/net/tcp (include/net/tcp_states.h).
const tcpListen = "0A"

// PortHolder says whether a TCP port is listened on in this network namespace, and by which process where that can be seen.
// Nothing is bound and no packet is sent.
func (l *Local) PortHolder(port int) (holder string, occupied bool) {
	inode := ""
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		data, err := os.ReadFile(filepath.Join(l.proc, table))
		if err != nil {
			continue
		}
		if found := listener(data, port); found != "" {
			inode = found
			break
		}
	}
	if inode == "" {
		return "", false
	}
	if pid := l.socketOwner(inode); pid != "" {
		name, _ := os.ReadFile(filepath.Join(l.proc, pid, "comm"))
		return fmt.Sprintf("process %s (%s)", pid, bytes.TrimSpace(name)), true
	}
	return "a process of another namespace", true
}

// listener returns the inode of the socket that listens on port in a /proc/net/tcp table, "" when there is none.
func listener(table []byte, port int) string {
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) < 10 || fields[3] != tcpListen {
			continue
		}
		_, hex, ok := strings.Cut(fields[1], ":")
		if n, err := strconv.ParseUint(hex, 16, 16); ok && err == nil && int(n) == port {
			return fields[9]
		}
	}
	return ""
}

// socketOwner finds a process that holds a socket.
func (l *Local) socketOwner(inode string) (pid string) {
	links, _ := filepath.Glob(filepath.Join(l.proc, "[0-9]*", "fd", "*"))
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == "socket:["+inode+"]" {
			return filepath.Base(filepath.Dir(filepath.Dir(link)))
		}
	}
	return ""
}
