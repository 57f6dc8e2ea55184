package host

import (
	"net"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestHasNameserver(t *testing.T) {
	for text, want := range map[string]bool{
		"nameserver 10.0.0.2\n":                     true,
		"nameserver 127.0.0.53\noptions edns0\n":    false,
		"nameserver ::1\nnameserver fe80::1%eth0\n": true,
		"# nameserver 10.0.0.2\nsearch example\n":   false,
		"":                    false,
		"nameserver nonsense": false,
	} {
		if got := HasNameserver([]byte(text)); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestPortHolderNamesThisProcess(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	holder, occupied := New().PortHolder(port)
	if !occupied || !strings.Contains(holder, "host.test") {
		t.Errorf("holder %q, occupied %v", holder, occupied)
	}
	l.Close()
	if _, occupied := New().PortHolder(port); occupied {
		t.Error("a closed port must be free")
	}
}

func TestListenerReadsTheKernelTable(t *testing.T) {
	table := []byte(`  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 0100007F:192C 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0
`)
	if got := listener(table, 6443); got != "4711" {
		t.Errorf("port 6443: inode %q", got)
	}
	if got := listener(table, 6444); got != "" {
		t.Errorf("an established connection is no listener, got %q", got)
	}
}

func TestMountsBelowAreDeepestFirst(t *testing.T) {
	table := []byte(`25 1 0:22 / /var/lib/kubelet rw - tmpfs t rw
26 25 0:23 / /var/lib/kubelet/pods/a/volumes/x rw - tmpfs t rw
27 26 0:24 / /var/lib/kubelet/pods/a/volumes/x/deeper\040still rw - tmpfs t rw
28 1 0:25 / /var/lib/kubelet2/y rw - tmpfs t rw
`)
	want := []string{"/var/lib/kubelet/pods/a/volumes/x/deeper still", "/var/lib/kubelet/pods/a/volumes/x"}
	if got := mountsBelow(table, "/var/lib/kubelet"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDialRuntimeNamesTheMissingSocket(t *testing.T) {
	path := t.TempDir() + "/none.sock"
	_, err := DialRuntime(t.Context(), "unix://"+path)
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestFolderEmpty(t *testing.T) {
	dir := t.TempDir()
	if !New().FolderEmpty(dir) || !New().FolderEmpty(dir+"/missing") {
		t.Error("an empty and a missing folder are empty")
	}
	if err := os.WriteFile(dir+"/f", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if New().FolderEmpty(dir) {
		t.Error("a folder with a file is not empty")
	}
}

func FuzzMountsBelow(f *testing.F) {
	f.Add([]byte(`26 25 0:23 / /var/lib/kubelet/a\040b rw - tmpfs t rw`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, m := range mountsBelow(data, "/var/lib/kubelet") {
			if !strings.HasPrefix(m, "/var/lib/kubelet/") {
				t.Errorf("%q is not below the folder", m)
			}
		}
	})
}
