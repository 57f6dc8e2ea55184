// Package binaries builds every program of a Pilotis cluster: our daemons and the pinned third-party parts.
package binaries

// Version is the Kubernetes version that the daemons speak and report.
const Version = "v1.37.2"

// Binary is one program: the module it is built in, the package and how it is linked.
type Binary struct {
	Name   string // file name under bin/
	Module string // folder of its module, relative to the repository
	// Package is "." for our daemons, and an import path pinned by a tool line of the third-party module's go.mod.
	Package string
	Tags    string
	Cgo     bool // linked statically against C libraries of the build machine
	// VersionVar is the variable that a program reports its version from, when its source leaves that to the build. It
	// gets the version of the module, named by VersionOf, that go.mod pins.
	VersionVar, VersionOf string
}

func daemon(name string) Binary { return Binary{Name: name, Module: "cmd/" + name, Package: "."} }

func thirdParty(module, name, pkg string) Binary {
	return Binary{Name: name, Module: "build/thirdparty/" + module, Package: pkg}
}

func containerd(name string) Binary {
	const module = "github.com/containerd/containerd/v2"
	return Binary{Name: name, Module: "build/thirdparty/containerd", Package: module + "/cmd/" + name, Tags: "no_btrfs no_zfs no_devmapper",
		VersionVar: module + "/version.Version", VersionOf: module}
}

func cni(name, kind string) Binary {
	const module = "github.com/containernetworking/plugins"
	return Binary{Name: "cni/" + name, Module: "build/thirdparty/cni", Package: module + "/plugins/" + kind + "/" + name,
		VersionVar: module + "/pkg/utils/buildversion.BuildVersion", VersionOf: module}
}

// All lists the programs in the order in which they are built: what a cluster waits for longest comes first.
var All = []Binary{
	daemon("kube-apiserver"),
	daemon("kubelet"),
	daemon("kubeadm"),
	daemon("kube-controller-manager"),
	daemon("kube-scheduler"),
	daemon("kube-proxy"),
	daemon("podnet"),
	daemon("cloud-controller-manager"),
	daemon("kubectl"),
	{Name: "cluster", Module: "build", Package: "./cmd/cluster"},
	{Name: "pause", Module: "build", Package: "./cmd/pause"},
	thirdParty("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
	thirdParty("etcd", "etcdctl", "go.etcd.io/etcd/etcdctl/v3"),
	containerd("containerd"),
	containerd("containerd-shim-runc-v2"),
	containerd("ctr"),
	{Name: "runc", Module: "build/thirdparty/runc", Package: "github.com/opencontainers/runc", Tags: "seccomp netgo osusergo urfave_cli_no_docs", Cgo: true},
	cni("bridge", "main"),
	cni("loopback", "main"),
	cni("host-local", "ipam"),
	cni("portmap", "meta"),
	cni("bandwidth", "meta"),
	thirdParty("coredns", "coredns", "."),
}

// Tools are programs that tests and checks use; they are built when they are named.
var Tools = []Binary{
	thirdParty("golangci-lint", "golangci-lint", "github.com/golangci/golangci-lint/v2/cmd/golangci-lint"),
	thirdParty("helm", "helm", "helm.sh/helm/v4/cmd/helm"),
	thirdParty("sample-apiserver", "sample-apiserver", "k8s.io/sample-apiserver"),
}
