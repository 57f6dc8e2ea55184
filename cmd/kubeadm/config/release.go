package config

import (
	"fmt"
	"strings"

	utilversion "k8s.io/apimachinery/pkg/util/version"
	componentversion "k8s.io/component-base/version"
)

const (
	// DefaultImageRepository is the prefix of every image name.
	DefaultImageRepository = "pilotis.dev"

	// release is the version a binary built without a stamp installs.
	release = "v1.37.2"

	etcdTag    = "3.7.3-0"
	coreDNSTag = "v1.15.0"
	pauseTag   = "3.10.1"
	cniTag     = "v1.9.1"
)

// Release returns the Kubernetes version this program belongs to.
func Release() string {
	stamped := componentversion.Get().GitVersion
	if stamped == "" || strings.HasPrefix(stamped, "v0.0.0") {
		return release
	}
	return stamped
}

// ResolveVersion turns what a user may write as kubernetesVersion into a version with a leading v. The labels of upstream's
// release server (stable, stable-1, latest …) mean the version of this program: no network is asked.
func ResolveVersion(text string) (string, error) {
	label := strings.TrimPrefix(text, "release/")
	if label == "" || strings.HasPrefix(label, "stable") || strings.HasPrefix(label, "latest") {
		return Release(), nil
	}
	v, err := utilversion.ParseSemantic(text)
	if err != nil {
		return "", fmt.Errorf("%q is no version: write it like %s", text, Release())
	}
	return "v" + v.String(), nil
}

// Images names the image of each part of a cluster, in the order in which they are started.
type Images struct {
	APIServer         string
	ControllerManager string
	Scheduler         string
	Proxy             string
	CoreDNS           string
	Pause             string
	Etcd              string
	CNI               string
}

// ImagesOf computes the images of a cluster. Etcd is empty for an external etcd, Proxy and CoreDNS where they are disabled.
func ImagesOf(c *ClusterConfiguration) Images {
	repository := c.ImageRepository
	named := func(name, tag string) string { return repository + "/" + name + ":" + tag }
	tag := strings.ReplaceAll(c.KubernetesVersion, "+", "_")
	images := Images{
		APIServer:         named("kube-apiserver", tag),
		ControllerManager: named("kube-controller-manager", tag),
		Scheduler:         named("kube-scheduler", tag),
		Pause:             named("pause", pauseTag),
		CNI:               named("cni", cniTag),
	}
	if !c.Proxy.Disabled {
		images.Proxy = named("kube-proxy", tag)
	}
	if !c.DNS.Disabled {
		images.CoreDNS = c.DNS.or(repository, coreDNSTag).name("coredns")
	}
	if c.Etcd.Local != nil {
		images.Etcd = c.Etcd.Local.or(repository, etcdTag).name("etcd")
	}
	return images
}

func (i Image) or(repository, tag string) Image {
	if i.ImageRepository == "" {
		i.ImageRepository = repository
	}
	if i.ImageTag == "" {
		i.ImageTag = tag
	}
	return i
}

func (i Image) name(name string) string { return i.ImageRepository + "/" + name + ":" + i.ImageTag }

// List returns the images that are set.
func (i Images) List() []string {
	var out []string
	for _, image := range []string{i.APIServer, i.ControllerManager, i.Scheduler, i.Proxy, i.CoreDNS, i.Pause, i.Etcd, i.CNI} {
		if image != "" {
			out = append(out, image)
		}
	}
	return out
}
