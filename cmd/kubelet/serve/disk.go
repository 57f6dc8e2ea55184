package serve

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// diskUse is what a folder takes of its disk.
type diskUse struct {
	bytes, inodes uint64
	at            time.Time
}

func (d *diskUse) add(o diskUse) {
	d.bytes += o.bytes
	d.inodes += o.inodes
}

func (d diskUse) stats() *stats.FsStats {
	return &stats.FsStats{Time: metav1.Now(), UsedBytes: &d.bytes, InodesUsed: &d.inodes}
}

// defaultDiskEvery is how old a folder's measure may be (volumeStatsAggPeriod): walking it costs.
const defaultDiskEvery = time.Minute

// disk measures a file or folder, or gives the last measure while that is fresh.
func (t *usageTracker) disk(path string) diskUse {
	t.mu.Lock()
	last, known := t.disks[path]
	t.mu.Unlock()
	if known && time.Since(last.at) < t.diskEvery {
		return last
	}
	use := measure(path)
	t.mu.Lock()
	defer t.mu.Unlock()
	for p, d := range t.disks {
		if time.Since(d.at) > 10*t.diskEvery {
			delete(t.disks, p)
		}
	}
	t.disks[path] = use
	return use
}

// measure adds up blocks and inodes below path on its own filesystem, files with several names once.
func measure(path string) diskUse {
	use := diskUse{at: time.Now()}
	seen := map[uint64]bool{}
	var device uint64
	filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error { //nolint:errcheck // what cannot be read is not counted
		if err != nil {
			return nil // gone meanwhile
		}
		info, err := d.Info()
		if err != nil {
			return nil // gone meanwhile
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return nil
		}
		if device == 0 {
			device = stat.Dev
		}
		if stat.Dev != device {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if seen[stat.Ino] {
			return nil
		}
		seen[stat.Ino] = true
		const blockSize = 512 // of st_blocks, whatever the filesystem's own is
		use.bytes += uint64(stat.Blocks) * blockSize
		use.inodes++
		return nil
	})
	return use
}

func podUID(p podSample) types.UID { return types.UID(p.uid) }

// bootTime is when the machine started, from /proc/stat.
func bootTime(root string) time.Time {
	data, err := os.ReadFile(filepath.Join(root, "proc/stat"))
	if err != nil {
		return time.Time{}
	}
	for _, line := range strings.Split(string(data), "\n") {
		if text, ok := strings.CutPrefix(line, "btime "); ok {
			if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
				return time.Unix(seconds, 0)
			}
		}
	}
	return time.Time{}
}

// hostNetwork reads the host's interfaces from /proc/net/dev.
func hostNetwork(root string, now metav1.Time) *stats.NetworkStats {
	data, err := os.ReadFile(filepath.Join(root, "proc/net/dev"))
	if err != nil {
		return nil
	}
	out := &stats.NetworkStats{Time: now}
	for _, line := range strings.Split(string(data), "\n") {
		name, rest, ok := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		f := strings.Fields(rest)
		const columns = 16
		if !ok || len(f) < columns || name == "lo" || strings.HasPrefix(name, "veth") {
			continue
		}
		at := func(i int) *uint64 {
			n, err := strconv.ParseUint(f[i], 10, 64)
			if err != nil {
				return nil
			}
			return &n
		}
		i := stats.InterfaceStats{Name: name, RxBytes: at(0), RxErrors: at(2), TxBytes: at(8), TxErrors: at(10)}
		if out.Name == "" {
			out.InterfaceStats = i
		}
		out.Interfaces = append(out.Interfaces, i)
	}
	return out
}
