package volumes

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// nfs mounts an export with the host's mount.nfs, which negotiates version and transport with the server.
func (m *Manager) nfs(ctx context.Context, r request, s *v1.NFSVolumeSource, options []string) (Mounted, error) {
	dir := m.volumeDir(r.pod.UID, pluginNFS, r.name)
	mounted, err := m.mounter.Mounted(dir)
	if err != nil {
		return Mounted{}, err
	}
	if !mounted {
		if err := os.MkdirAll(dir, dirMode); err != nil {
			return Mounted{}, err
		}
		if s.ReadOnly {
			options = append(append([]string{}, options...), "ro")
		}
		if err := mountNFS(ctx, s, dir, options); err != nil {
			return Mounted{}, err
		}
	}
	return Mounted{HostPath: dir, ReadOnly: s.ReadOnly}, nil
}

func mountNFS(ctx context.Context, s *v1.NFSVolumeSource, dir string, options []string) error {
	server := s.Server
	if ip := net.ParseIP(server); ip != nil && ip.To4() == nil {
		server = "[" + server + "]"
	}
	args := []string{"-t", "nfs"}
	if len(options) > 0 {
		args = append(args, "-o", strings.Join(options, ","))
	}
	args = append(args, "--", server+":"+s.Path, dir)
	if out, err := exec.CommandContext(ctx, "mount", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("mount %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
