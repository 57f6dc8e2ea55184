package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheComplaintOfKubeadmNamesTheIllPart(t *testing.T) {
	long := "error: phase x: no\n" + strings.Repeat("\tetcd: fine\n", 40)
	for _, c := range []struct{ name, log, want string }{
		{"a line", "[certs] made\nerror: port 6443 is in use\n", "port 6443 is in use"},
		{"the last one", "error: an older run\n[certs] made\nerror: this run\n", "this run"},
		{"with its details", "[check] no\nerror: phase wait: not healthy:\n\tkube-apiserver: panic\n\tetcd: fine\n",
			"phase wait: not healthy:\n\tkube-apiserver: panic\n\tetcd: fine"},
		{"not all of a log", long, "phase x: no\n" + strings.TrimSuffix(strings.Repeat("\tetcd: fine\n", 10), "\n")},
		{"killed before it could say", "[certs] made\n[wait] …\n", "[wait] …"},
		{"silent", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kubeadm.log")
			if err := os.WriteFile(path, []byte(c.log), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := complaint(path); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}
