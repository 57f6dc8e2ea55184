package observed

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"encoding/json"
	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A container's last words are cut to these sizes (API reference of terminationMessagePath).
const (
	maxTerminationBytes = 4096
	maxLogLines         = 80
	maxLogBytes         = 2048
)

// terminationMessage reads what an ended container left: its termination file, or with policy
// FallbackToLogsOnError the end of its log when it failed without writing one.
func terminationMessage(c *Container, st *runtimeapi.ContainerStatus) string {
	if !c.Exited() || c.TerminationPath == "" {
		return ""
	}
	for _, m := range st.Mounts {
		if m.ContainerPath != c.TerminationPath {
			continue
		}
		if data := head(m.HostPath, maxTerminationBytes); data != "" {
			return data
		}
	}
	if c.ExitCode != 0 && v1.TerminationMessagePolicy(c.TerminationPolicy) == v1.TerminationMessageFallbackToLogsOnError {
		return logEnd(c.LogPath)
	}
	return ""
}

func head(path string, limit int64) string {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return ""
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return ""
	}
	return string(data)
}

// logEnd gives the text of the last lines of a log in the CRI or the Docker JSON format.
func logEnd(path string) string {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	const tail = 64 * 1024
	if _, err := f.Seek(max(0, info.Size()-tail), io.SeekStart); err != nil {
		return ""
	}
	data, err := io.ReadAll(io.LimitReader(f, tail))
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	lines = lines[max(0, len(lines)-maxLogLines):]
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(logText(line) + "\n")
	}
	text := b.String()
	return text[max(0, len(text)-maxLogBytes):]
}

// logText strips what the runtime puts before a line: "2024-… stdout F text".
func logText(line string) string {
	if strings.HasPrefix(line, "{") {
		var entry struct{ Log string }
		if json.Unmarshal([]byte(line), &entry) == nil {
			return strings.TrimRight(entry.Log, "\n")
		}
	}
	parts := strings.SplitN(line, " ", 4)
	if len(parts) == 4 {
		return parts[3]
	}
	return line
}
