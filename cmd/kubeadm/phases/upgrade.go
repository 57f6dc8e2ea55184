package phases

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"pilotis.dev/pkg/certs"
)

const (
	backupPrefix = KubernetesDir + "/tmp/kubeadm-backup-manifests-"
	// hashAnnotation is the kubelet's fingerprint of the manifest a static pod runs from; a mirror pod carries it.
	hashAnnotation = "kubernetes.io/config.hash"
)

// StaticPods tells how a component's static pod is doing, as the cluster sees it.
type StaticPods interface {
	// Fingerprint is that of the manifest the running pod was made from.
	Fingerprint(ctx context.Context, component string) (string, error)
	// Ready says whether the pod is running and ready.
	Ready(ctx context.Context, component string) (bool, error)
}

// MirrorPods reads static pods from their mirrors in the API.
type MirrorPods struct {
	Client kubernetes.Interface
	Node   string
}

func (m MirrorPods) get(ctx context.Context, component string) (*corev1.Pod, error) {
	return m.Client.CoreV1().Pods(metav1.NamespaceSystem).Get(ctx, component+"-"+m.Node, metav1.GetOptions{})
}

// Fingerprint implements StaticPods.
func (m MirrorPods) Fingerprint(ctx context.Context, component string) (string, error) {
	pod, err := m.get(ctx, component)
	if err != nil {
		return "", err
	}
	return pod.Annotations[hashAnnotation], nil
}

// Ready implements StaticPods.
func (m MirrorPods) Ready(ctx context.Context, component string) (bool, error) {
	pod, err := m.get(ctx, component)
	if err != nil {
		return false, err
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue, nil
		}
	}
	return false, nil
}

// Upgrade rewrites the static pods of a control plane node, one after the other.
type Upgrade struct {
	*Node
	Pods        StaticPods
	RenewCerts  bool
	UpgradeEtcd bool
}

// components lists what is upgraded, in order: etcd first, for an API server is never newer than its store.
func (u *Upgrade) components() []string {
	list := []string{APIServer, ControllerManager, Scheduler}
	if u.UpgradeEtcd && u.Cluster.Etcd.Local != nil {
		list = append([]string{Etcd}, list...)
	}
	return list
}

// ControlPlane replaces each manifest whose content changes and waits until the component is back. When one does not come back,
// the manifests replaced so far return to what they were, and the error says so.
func (u *Upgrade) ControlPlane(ctx context.Context) error {
	next := map[string][]byte{}
	for _, name := range u.components() {
		data, err := u.RenderStaticPod(name)
		if err != nil {
			return fmt.Errorf("manifest of %s: %w", name, err)
		}
		next[name] = data
	}
	if u.RenewCerts && !u.DryRun {
		if err := u.renewAll(ctx); err != nil {
			return err
		}
	}
	backup := backupPrefix + u.Now().UTC().Format("2006-01-02-15-04-05")
	var done []replaced
	for _, name := range u.components() {
		old, err := os.ReadFile(u.Manifest(name))
		if err != nil {
			return fmt.Errorf("the manifest of %s is missing: %w", name, err)
		}
		if bytes.Equal(old, next[name]) {
			u.say("upgrade/staticpods", "Current and new manifests of %s are equal, skipping upgrade", name)
			continue
		}
		if u.DryRun {
			u.say("dryrun", "Would replace the manifest of %s", name)
			continue
		}
		if err := certs.WriteFile(u.At(filepath.Join(backup, name+".yaml")), old, 0o600); err != nil {
			return err
		}
		before, err := u.fingerprint(ctx, name)
		if err == nil {
			done = append(done, replaced{name, before})
			err = u.replace(ctx, name, next[name], before)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("upgrading %s: %w%s", name, err, u.logOf(ctx, name)), u.rollBack(ctx, backup, done))
		}
	}
	return nil
}

// replaced is a component whose manifest was replaced, and the fingerprint of its pod before.
type replaced struct{ name, before string }

// fingerprint waits for that of the component's pod.
func (u *Upgrade) fingerprint(ctx context.Context, name string) (found string, err error) {
	var last error
	err = wait.PollUntilContextTimeout(ctx, healthPeriod, u.Timeouts.UpgradeManifests.Duration, true, func(ctx context.Context) (bool, error) {
		found, last = u.Pods.Fingerprint(ctx, name)
		return last == nil, nil
	})
	if err != nil {
		return "", fmt.Errorf("its pod cannot be seen: %w", last)
	}
	return found, nil
}

// replace puts a manifest in place of the one with the fingerprint given, and waits until the kubelet has taken it up and the
// component is ready.
func (u *Upgrade) replace(ctx context.Context, name string, manifest []byte, before string) error {
	timeout := u.Timeouts.UpgradeManifests.Duration
	u.say("upgrade/staticpods", "Moving new manifest to %q", filepath.Join(ManifestsDir, name+".yaml"))
	if err := certs.WriteFile(u.Manifest(name), manifest, 0o600); err != nil {
		return err
	}
	u.say("upgrade/staticpods", "Waiting for the kubelet to restart %s. This can take up to %v", name, timeout)
	start := time.Now()
	taken := func(fingerprint string) error {
		if fingerprint == before {
			return errors.New("the kubelet has not taken up the new manifest")
		}
		return nil
	}
	if err := u.awaitReady(ctx, name, taken); err != nil {
		return fmt.Errorf("not back within %v: %w", timeout, err)
	}
	u.say("upgrade/staticpods", "Component %q upgraded successfully after %v", name, time.Since(start).Round(time.Millisecond))
	return nil
}

// awaitReady waits until the component's pod is the wanted one and ready; the error is the last obstacle.
func (u *Upgrade) awaitReady(ctx context.Context, name string, wanted func(fingerprint string) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, healthPeriod, u.Timeouts.UpgradeManifests.Duration, true, func(ctx context.Context) (bool, error) {
		// While the API server itself is away every question fails; that is no verdict.
		fault := u.ready(ctx, name, wanted)
		if fault != nil && (last == nil || ctx.Err() == nil) { // the end of the time is no news about the pod
			last = fault
		}
		return fault == nil, nil
	})
	if err != nil {
		return errors.Join(last, ctx.Err())
	}
	return nil
}

// ready says why the component's pod is not the wanted one, or not ready; nil: it is both.
func (u *Upgrade) ready(ctx context.Context, name string, wanted func(fingerprint string) error) error {
	now, err := u.Pods.Fingerprint(ctx, name)
	if err != nil {
		return err
	}
	if err := wanted(now); err != nil {
		return err
	}
	ready, err := u.Pods.Ready(ctx, name)
	if err == nil && !ready {
		err = errors.New("its pod is not ready")
	}
	return err
}

// rollBack puts the old manifests back, last first, and waits until each component runs from its own again: what comes after is
// told whether the node is as it was.
func (u *Upgrade) rollBack(ctx context.Context, backup string, done []replaced) error {
	var faults []error
	var back []string
	for _, r := range slices.Backward(done) {
		u.say("upgrade/staticpods", "Putting the previous manifest of %s back", r.name)
		old, err := os.ReadFile(u.At(filepath.Join(backup, r.name+".yaml")))
		if err == nil {
			err = certs.WriteFile(u.Manifest(r.name), old, 0o600)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("rolling %s back: %w: its previous manifest is in %s", r.name, err, backup))
			continue
		}
		back = append(back, r.name)
	}
	if len(back) > 0 {
		faults = append(faults, fmt.Errorf("the previous manifests are back in place: %v", back))
	}
	for _, r := range slices.Backward(done) {
		if !slices.Contains(back, r.name) {
			continue
		}
		u.say("upgrade/staticpods", "Waiting for the kubelet to restart the previous %s. This can take up to %v", r.name, u.Timeouts.UpgradeManifests.Duration)
		restored := func(fingerprint string) error {
			if fingerprint != r.before {
				return errors.New("the kubelet has not taken up the previous manifest")
			}
			return nil
		}
		if err := u.awaitReady(ctx, r.name, restored); err != nil {
			faults = append(faults, fmt.Errorf("the previous %s is not back within %v: %w%s", r.name, u.Timeouts.UpgradeManifests.Duration, err, u.logOf(ctx, r.name)))
			continue
		}
		u.say("upgrade/staticpods", "The previous %s is back", r.name)
	}
	return errors.Join(faults...)
}

// renewAll renews every certificate this node's control plane uses, but those of an authority kept elsewhere.
func (u *Upgrade) renewAll(ctx context.Context) error {
	leaves, _ := u.Expirations()
	for _, e := range leaves {
		if e.Missing || e.ExternallyManaged {
			continue
		}
		if err := u.Renew(ctx, e.Name); err != nil {
			return fmt.Errorf("renewing %s: %w", e.Name, err)
		}
		u.say("upgrade/staticpods", "Renewed certificate %s", e.Name)
	}
	return nil
}
