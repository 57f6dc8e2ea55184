package phases

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"pilotis.dev/cmd/kubeadm/config"
)

// ResetHost is what a reset does to the machine beyond files.
type ResetHost interface {
	StopKubelet(ctx context.Context) error
	UnmountBelow(dir string, flags []string) error
}

// PodRemover removes the pods a kubelet made.
type PodRemover interface {
	RemovePods(ctx context.Context) (removed []string, first error)
}

// Reset takes a node back to what it was before init or join. It goes on after a failure, so that one stuck mount does not keep
// everything else; the failures are returned together.
type Reset struct {
	*Node
	Config *config.ResetConfiguration
	Host   ResetHost
	Pods   func(ctx context.Context) (PodRemover, error)
}

// Cleanup removes manifests first, so that the kubelet starts nothing anew, then stops the kubelet, the pods, the mounts and
// removes the files.
func (r *Reset) Cleanup(ctx context.Context) error {
	var faults []error
	note := func(err error) {
		if err != nil {
			faults = append(faults, err)
			r.say("reset", "Warning: %v", err)
		}
	}
	dataDir := r.localEtcdData()
	if r.DryRun {
		return r.rehearse(dataDir)
	}
	note(r.empty(ManifestsDir))
	// Without its configuration a supervisor does not start the kubelet again.
	for _, file := range []string{KubeletConfig, KubeletFlags, InstanceConfig} {
		note(r.remove(file))
	}
	r.say("reset", "Stopping the kubelet service")
	note(r.Host.StopKubelet(ctx))
	r.say("reset", "Removing Kubernetes-managed containers")
	note(r.removePods(ctx))
	r.say("reset", "Unmounting mounted directories in %q", KubeletDir)
	unmounted := r.Host.UnmountBelow(r.At(KubeletDir), r.Config.UnmountFlags)
	note(unmounted)
	for _, dir := range []string{ManifestsDir, r.Config.CertificatesDir} {
		r.say("reset", "Deleting contents of directory: %s", dir)
		note(r.empty(dir))
	}
	for _, file := range confFiles() {
		note(r.remove(filepath.Join(KubernetesDir, file)))
	}
	if unmounted == nil {
		r.say("reset", "Deleting contents of directory: %s", KubeletDir)
		note(r.empty(KubeletDir))
	} else {
		r.say("reset", "Keeping %s: something below it is still mounted", KubeletDir)
	}
	if dataDir != "" {
		r.say("reset", "Deleting contents of the etcd data directory: %s", dataDir)
		note(r.empty(dataDir))
	}
	if r.Config.CleanupTmpDir {
		note(r.empty(filepath.Join(KubernetesDir, "tmp")))
	}
	return errors.Join(faults...)
}

func confFiles() []string {
	return []string{AdminConf, SuperAdminConf, KubeletConf, BootstrapConf, ControllerConf, SchedulerConf}
}

func (r *Reset) removePods(ctx context.Context) error {
	if r.Config.CRISocket == "" {
		return errors.New("no container runtime found: containers, if any, stay; name its socket with --cri-socket")
	}
	pods, err := r.Pods(ctx)
	if err != nil {
		return err
	}
	removed, err := pods.RemovePods(ctx)
	for _, name := range removed {
		r.say("reset", "Removed pod %s", name)
	}
	return err
}

// localEtcdData is the folder the local etcd member of this node keeps its data in, by its manifest; "" when it runs none.
func (r *Reset) localEtcdData() string {
	manifest, err := readPod(r.Manifest(Etcd))
	if err != nil {
		return ""
	}
	for _, volume := range manifest.Spec.Volumes {
		if volume.Name == "etcd-data" && volume.HostPath != nil {
			return volume.HostPath.Path
		}
	}
	return ""
}

// protected are folders that are never emptied, whatever a configuration or manifest says.
func protected() []string {
	return []string{"/", "/etc", "/var", "/var/lib", "/usr", "/home", "/root", "/run", "/tmp", "/opt", "/boot", "/dev", "/proc", "/sys"}
}

// empty removes what is in a folder; the folder stays. A missing folder is fine.
func (r *Reset) empty(dir string) error {
	if slices.Contains(protected(), filepath.Clean(dir)) {
		return fmt.Errorf("refusing to delete the contents of %s", dir)
	}
	entries, err := os.ReadDir(r.At(dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var faults []error
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(r.At(dir), entry.Name())); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

func (r *Reset) remove(path string) error {
	err := os.Remove(r.At(path))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func (r *Reset) rehearse(dataDir string) error {
	r.say("dryrun", "Would stop the kubelet service")
	r.say("dryrun", "Would remove Kubernetes-managed containers")
	r.say("dryrun", "Would unmount mounted directories in %q", KubeletDir)
	for _, dir := range []string{ManifestsDir, r.Config.CertificatesDir, KubeletDir, dataDir} {
		if dir != "" {
			r.say("dryrun", "Would delete contents of directory: %s", dir)
		}
	}
	for _, file := range confFiles() {
		if r.exists(filepath.Join(KubernetesDir, file)) {
			r.say("dryrun", "Would delete file: %s", filepath.Join(KubernetesDir, file))
		}
	}
	return nil
}
