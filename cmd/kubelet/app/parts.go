package app

import (
	"context"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	"pilotis.dev/cmd/kubelet/act"
	"pilotis.dev/cmd/kubelet/fields"
	"pilotis.dev/cmd/kubelet/objects"
	"pilotis.dev/cmd/kubelet/podcertificates"
	"pilotis.dev/cmd/kubelet/volumes"
)

// references counts the objects, tokens and certificates of pods.
type references struct {
	objects      *objects.Store
	tokens       *objects.Tokens
	certificates *podcertificates.Manager // nil without an API server
}

func (r references) Use(pod *v1.Pod) { r.objects.Use(pod) }
func (r references) Release(uid types.UID) {
	r.objects.Release(uid)
	r.tokens.Release(uid)
	if r.certificates != nil {
		r.certificates.Release(uid)
	}
}

// podVolumes gives volumes as containers take them.
type podVolumes struct{ *volumes.Manager }

func (v podVolumes) Setup(ctx context.Context, pod *v1.Pod) (map[string]act.Volume, error) {
	mounted, err := v.Manager.Setup(ctx, pod)
	if err != nil {
		return nil, err
	}
	out := make(map[string]act.Volume, len(mounted))
	for name, m := range mounted {
		out[name] = act.Volume{HostPath: m.HostPath, ReadOnly: m.ReadOnly, Block: m.Block, Image: m.Image, SELinuxRelabel: m.SELinuxRelabel}
	}
	return out, nil
}

// View is a pod with its newest status, for the downward API.
func (k *Kubelet) View(uid types.UID) (fields.Pod, bool) {
	pod := k.Desired.Get(uid)
	if pod == nil {
		return fields.Pod{}, false
	}
	view := fields.Pod{Pod: pod, HostIPs: k.HostIPs()}
	if s, ok := k.Status.Get(uid); ok {
		for _, ip := range s.PodIPs {
			view.PodIPs = append(view.PodIPs, ip.IP)
		}
	}
	return view, true
}

// podsToKeep are those whose folders stay; false: not every source has told yet.
func (k *Kubelet) podsToKeep() (sets.Set[types.UID], bool) {
	if !k.Desired.AllReady() {
		return nil, false
	}
	keep := sets.New[types.UID]()
	for _, p := range k.Desired.Pods() {
		keep.Insert(p.UID)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for uid := range k.workers {
		keep.Insert(uid)
	}
	return keep, true
}

// imagesInUse are the images of all containers.
func (k *Kubelet) imagesInUse(ctx context.Context) (map[string]bool, error) {
	containers, err := k.Runtime.Service.ListContainers(ctx, nil)
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, c := range containers {
		used[c.ImageRef], used[c.ImageId], used[c.Image.GetImage()] = true, true, true
	}
	return used, nil
}
