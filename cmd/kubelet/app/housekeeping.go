package app

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"pilotis.dev/cmd/kubelet/desired"
	"pilotis.dev/cmd/kubelet/observed"
)

const housekeepingEvery = time.Minute

// housekeeping finds what no event tells of: pods that ended while the kubelet was away, ended containers and
// sandboxes that are not needed, mirrors of static pods that are gone.
func (k *Kubelet) housekeeping(ctx context.Context) {
	timer := time.NewTimer(time.Second)
	adopted := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if !k.Desired.AllReady() {
			timer.Reset(time.Second)
			continue
		}
		if !adopted {
			k.wakeStrangers(ctx)
			adopted = true
		}
		k.collectContainers(ctx)
		k.deleteOrphanMirrors(ctx)
		k.collectLogs(ctx)
		timer.Reset(housekeepingEvery)
	}
}

// wakeStrangers gives a worker to every pod of which the runtime, a cgroup or a folder is left.
func (k *Kubelet) wakeStrangers(ctx context.Context) {
	known, err := k.Runtime.UIDs(ctx)
	if err != nil {
		klog.FromContext(ctx).Error(err, "Pods of an earlier kubelet cannot be listed")
		return
	}
	for uid := range known {
		k.Wake(uid)
	}
	for _, uid := range k.Cgroups.Pods() {
		k.Wake(uid)
	}
	entries, _ := os.ReadDir(filepath.Join(k.RootDir, "pods"))
	for _, e := range entries {
		k.Wake(types.UID(e.Name()))
	}
}

// deadContainer is an ended container that is kept for its logs.
type deadContainer struct {
	pod       *observed.Pod
	container *observed.Container
}

// collectContainers removes ended containers beyond the newest of each name, then the oldest beyond the number that the node
// keeps in all, and sandboxes that were replaced.
func (k *Kubelet) collectContainers(ctx context.Context) {
	var kept []deadContainer
	for _, pod := range k.Desired.Pods() {
		o, err := k.Runtime.Pod(ctx, pod.UID)
		if err != nil {
			return
		}
		count := map[string]int{}
		for _, c := range o.Containers {
			count[c.Name]++
			if c.Running() || count[c.Name] == 1 || time.Since(c.Finished) < k.MinDeadAge {
				continue // the newest of a name tells the pod's state
			}
			// Its predecessor while it runs may still be asked for.
			if count[c.Name] > k.DeadContainers+1 {
				k.logError(ctx, k.Actor.RemoveContainer(ctx, o, c, true), "An ended container cannot be removed")
			} else {
				kept = append(kept, deadContainer{o, c})
			}
		}
		for _, s := range o.Sandboxes[min(1, len(o.Sandboxes)):] {
			if s.Ready || uses(o, s.ID) {
				continue
			}
			k.logError(ctx, k.Runtime.Service.RemovePodSandbox(ctx, s.ID), "A replaced sandbox cannot be removed")
		}
	}
	if k.MaxDeadInAll < 0 {
		return
	}
	slices.SortFunc(kept, func(a, b deadContainer) int { return a.container.Finished.Compare(b.container.Finished) })
	for _, d := range kept[:max(0, len(kept)-k.MaxDeadInAll)] {
		k.logError(ctx, k.Actor.RemoveContainer(ctx, d.pod, d.container, true), "An ended container cannot be removed")
	}
}

// collectLogs removes logs of pods that nobody knows any more, and links to logs that are gone.
func (k *Kubelet) collectLogs(ctx context.Context) {
	keep, known := k.podsToKeep()
	if !known {
		return
	}
	dirs, _ := filepath.Glob(filepath.Join(k.Logs.Pods, "*_*_*"))
	for _, dir := range dirs {
		name := filepath.Base(dir)
		if uid := types.UID(name[strings.LastIndexByte(name, '_')+1:]); !keep.Has(uid) {
			k.logError(ctx, os.RemoveAll(dir), "The logs of a pod that is gone cannot be removed")
		}
	}
	links, _ := filepath.Glob(filepath.Join(k.Logs.Links, "*.log"))
	for _, link := range links {
		if _, err := os.Stat(link); os.IsNotExist(err) {
			k.logError(ctx, os.Remove(link), "A link to a log that is gone cannot be removed")
		}
	}
}

func uses(o *observed.Pod, sandbox string) bool {
	for _, c := range o.Containers {
		if c.SandboxID == sandbox {
			return true
		}
	}
	return false
}

func (k *Kubelet) deleteOrphanMirrors(ctx context.Context) {
	if k.Client == nil {
		return
	}
	for _, m := range k.Desired.OrphanMirrors() {
		zero := int64(0)
		err := k.Client.CoreV1().Pods(m.Namespace).Delete(ctx, m.Name, metav1.DeleteOptions{GracePeriodSeconds: &zero})
		k.logError(ctx, err, "The mirror of a static pod that is gone cannot be deleted")
	}
	for _, pod := range k.Desired.Pods() {
		if desired.IsStatic(pod) && k.Desired.Mirror(pod) == nil {
			k.Wake(pod.UID) // the API came, or lost it
		}
	}
}

func (k *Kubelet) logError(ctx context.Context, err error, message string) {
	if err != nil {
		klog.FromContext(ctx).Info(message, "reason", err.Error())
	}
}
