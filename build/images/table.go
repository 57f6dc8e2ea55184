// Package images makes one OCI archive a component, without a container engine and the same byte for byte
// each time.
package images

import "pilotis.dev/build/binaries"

// Repository is the prefix of our images' names; kubeadm's default imageRepository is the same.
const Repository = "pilotis.dev"

// nonRoot is the user (nobody's conventional 65532) of images whose program needs no privilege by itself.
// Static pods run as root on the host's network all the same where their manifest says so.
const nonRoot = "65532:65532"

// Image is one component's image.
type Image struct {
	Name string // below Repository
	Tag  string
	// Binaries go to /usr/local/bin/<base name>, in a layer each, so that a rebuild of one leaves the others.
	Binaries []string
	// Plugins go to /usr/local/lib/cni/<base name>.
	Plugins []string
	// Programs are taken from the build machine's Debian packages with the libraries they need.
	Programs   []string
	Entrypoint []string
	User       string
}

// Reference is the image's full name.
func (i Image) Reference() string { return Repository + "/" + i.Name + ":" + i.Tag }

// All lists the images of a cluster.
var All = []Image{
	{Name: "pause", Tag: "3.10.1", Binaries: []string{"pause"}, Entrypoint: []string{"/usr/local/bin/pause"}, User: nonRoot},
	{Name: "etcd", Tag: "3.7.3-0", Binaries: []string{"etcd", "etcdctl"}},
	{Name: "kube-apiserver", Tag: binaries.Version, Binaries: []string{"kube-apiserver"}},
	{Name: "kube-controller-manager", Tag: binaries.Version, Binaries: []string{"kube-controller-manager"}},
	{Name: "kube-scheduler", Tag: binaries.Version, Binaries: []string{"kube-scheduler"}},
	{Name: "cloud-controller-manager", Tag: binaries.Version, Binaries: []string{"cloud-controller-manager"}, User: nonRoot},
	{Name: "kube-proxy", Tag: binaries.Version, Binaries: []string{"kube-proxy"}, Programs: []string{"nft", "conntrack"}},
	{Name: "coredns", Tag: "v1.15.0", Binaries: []string{"coredns"}, Entrypoint: []string{"/usr/local/bin/coredns"}, User: nonRoot},
	{Name: "cni", Tag: "v1.9.1", Binaries: []string{"podnet"}, Programs: []string{"nft"},
		Plugins: []string{"cni/bridge", "cni/host-local", "cni/loopback", "cni/portmap", "cni/bandwidth"}},
}

// Tests lists the images that tests load into a cluster; they are built when they are named.
var Tests = []Image{
	{Name: "sample-apiserver", Tag: "v0.37.2", Binaries: []string{"sample-apiserver", "etcd"}, Entrypoint: []string{"/usr/local/bin/sample-apiserver"}, User: nonRoot},
}
