package preflight

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/validation"
	utilversion "k8s.io/apimachinery/pkg/util/version"
)

const (
	minCPUs  = 2
	minBytes = 1700 << 20 // upstream's documented minimum for a control plane node
)

func fault(format string, args ...any) []error { return []error{fmt.Errorf(format, args...)} }

// Root asks for the privileges that everything after needs.
func Root(f Facts) Check {
	return Check{"IsPrivilegedUser", func(context.Context) (warnings, faults []error) {
		if !f.Root() {
			return nil, fault("user is not running as root: use sudo")
		}
		return nil, nil
	}}
}

// CPUs and Memory ask for the least a control plane runs on.
func CPUs(f Facts) Check {
	return Check{"NumCPU", func(context.Context) (warnings, faults []error) {
		if n := f.CPUs(); n < minCPUs {
			return nil, fault("the number of available CPUs %d is less than the required %d", n, minCPUs)
		}
		return nil, nil
	}}
}

func Memory(f Facts) Check {
	return Check{"Mem", func(context.Context) (warnings, faults []error) {
		n, err := f.MemoryBytes()
		if err != nil {
			return fault("cannot read the size of memory: %w", err), nil
		}
		if n < minBytes {
			return nil, fault("the system RAM (%d MB) is less than the minimum %d MB", n>>20, minBytes>>20)
		}
		return nil, nil
	}}
}

// Port asks that nobody listens on a port, or names who does.
func Port(f Facts, port int) Check {
	return Check{fmt.Sprintf("Port-%d", port), func(context.Context) (warnings, faults []error) {
		if holder, occupied := f.PortHolder(port); occupied {
			return nil, fault("Port %d is in use by %s: stop it, or run `kubeadm reset` if it is what an earlier cluster left", port, holder)
		}
		return nil, nil
	}}
}

// pathName writes a path the way check names do: /etc/kubernetes/x.conf → etc-kubernetes-x.conf.
func pathName(path string) string { return strings.ReplaceAll(path, "/", "-") }

// FileAbsent asks that a file an earlier cluster would have left is not there.
func FileAbsent(f Facts, path string) Check {
	return Check{"FileAvailable-" + pathName(path), func(context.Context) (warnings, faults []error) {
		if f.Exists(path) {
			return nil, fault("%s already exists: run `kubeadm reset` to remove what an earlier cluster left", path)
		}
		return nil, nil
	}}
}

// FilePresent asks for a file the user said would be there.
func FilePresent(f Facts, path string) Check {
	return Check{"FileExisting-" + pathName(path), func(context.Context) (warnings, faults []error) {
		if !f.Exists(path) {
			return nil, fault("%s doesn't exist", path)
		}
		return nil, nil
	}}
}

// FolderEmpty asks that a folder is missing or empty.
func FolderEmpty(f Facts, path string) Check {
	return Check{"DirAvailable-" + pathName(path), func(context.Context) (warnings, faults []error) {
		if !f.FolderEmpty(path) {
			return nil, fault("%s is not empty: run `kubeadm reset` to remove what an earlier cluster left", path)
		}
		return nil, nil
	}}
}

// Executable asks for a program on the PATH; one that only some setups need is a warning.
func Executable(f Facts, name string, mandatory bool) Check {
	return Check{"FileExisting-" + name, func(context.Context) (warnings, faults []error) {
		if f.LookPath(name) {
			return nil, nil
		}
		missing := fault("%s not found in system path: install it", name)
		if mandatory {
			return nil, missing
		}
		return missing, nil
	}}
}

// Sysctl asks that a kernel switch under /proc/sys is on.
func Sysctl(f Facts, path, want string) Check {
	return Check{"FileContent-" + pathName(path), func(context.Context) (warnings, faults []error) {
		data, err := f.ReadFile(path)
		if err != nil {
			return nil, fault("%s cannot be read: %w", path, err)
		}
		if got := strings.TrimSpace(string(data)); got != want {
			return nil, fault("%s contents are %q, want %q: set it with sysctl -w %s=%s", path, got, want, strings.ReplaceAll(strings.TrimPrefix(path, "/proc/sys/"), "/", "."), want)
		}
		return nil, nil
	}}
}

// Swap warns of swap, which the kubelet refuses unless it is told otherwise.
func Swap(f Facts) Check {
	return Check{"Swap", func(context.Context) (warnings, faults []error) {
		data, err := f.ReadFile("/proc/swaps")
		if err != nil {
			return nil, nil // a kernel without swap has no such file
		}
		if strings.Count(strings.TrimSpace(string(data)), "\n") > 0 {
			return fault("swap is supported for cgroup v2 only. The kubelet must be properly configured to use swap. Please refer to https://kubernetes.io/docs/concepts/architecture/nodes/#swap-memory, or disable swap on the node"), nil
		}
		return nil, nil
	}}
}

// Hostname asks that the node's name is a valid one and warns when it does not resolve.
func Hostname(node string, lookup func(host string) ([]string, error)) Check {
	return Check{"Hostname", func(context.Context) (warnings, faults []error) {
		for _, text := range validation.IsDNS1123Subdomain(node) {
			faults = append(faults, fmt.Errorf("node name %q is invalid: %s: choose another with --node-name", node, text))
		}
		if len(faults) > 0 {
			return nil, faults
		}
		if addresses, err := lookup(node); err != nil || len(addresses) == 0 {
			return fault("hostname %q could not be reached: it does not resolve (add it to /etc/hosts or DNS)", node), nil
		}
		return nil, nil
	}}
}

// KubeletUnit warns when systemd would not start the kubelet after a reboot.
func KubeletUnit(f Facts) Check {
	return Check{"Service-Kubelet", func(ctx context.Context) (warnings, faults []error) {
		if !f.Systemd() {
			return nil, nil
		}
		exists, enabled, _ := f.UnitState(ctx, "kubelet")
		if !exists {
			return fault("no kubelet unit is installed: systemd will not run the kubelet"), nil
		}
		if !enabled {
			return fault("kubelet service is not enabled, please run 'systemctl enable kubelet.service'"), nil
		}
		return nil, nil
	}}
}

// Firewalld warns of a firewall that closes the ports a cluster needs.
func Firewalld(f Facts, ports ...int) Check {
	return Check{"Firewalld", func(ctx context.Context) (warnings, faults []error) {
		if _, _, active := f.UnitState(ctx, "firewalld"); active {
			return fault("firewalld is active, please ensure ports %v are open or your cluster may not function correctly", ports), nil
		}
		return nil, nil
	}}
}

// System asks for a kernel and cgroups that can carry containers. cgroupV1 says that the kubelet was told to accept cgroup v1.
func System(f Facts, version string, cgroupV1 bool) Check {
	return Check{"SystemVerification", func(context.Context) (warnings, faults []error) {
		if cgroupV1 {
			version = ""
		}
		return f.ValidateSystem(version)
	}}
}

// KubeletVersion asks that the installed kubelet is not newer than the control plane and at most three minors older
// (https://kubernetes.io/releases/version-skew-policy/).
func KubeletVersion(f Facts, controlPlane string) Check {
	return Check{"KubeletVersion", func(ctx context.Context) (warnings, faults []error) {
		text, err := f.KubeletVersion(ctx)
		if err != nil {
			return nil, fault("couldn't get kubelet version: %w", err)
		}
		kubelet, err := utilversion.ParseSemantic(text)
		if err != nil {
			return nil, fault("couldn't parse kubelet version %q: %w", text, err)
		}
		target, err := utilversion.ParseSemantic(controlPlane)
		if err != nil {
			return nil, fault("couldn't parse control plane version %q: %w", controlPlane, err)
		}
		switch {
		case kubelet.Minor() > target.Minor() || kubelet.Major() > target.Major():
			return nil, fault("the kubelet version is higher than the control plane version. This is not a supported version skew and may lead to a malfunctional cluster. Kubelet version: %q Control plane version: %q", text, controlPlane)
		case kubelet.Minor()+3 < target.Minor():
			return nil, fault("kubelet version %q is more than three minor versions older than control plane version %q: install a newer kubelet", text, controlPlane)
		}
		return nil, nil
	}}
}

// RuntimeUp asks that the container runtime answers. dial is called when the check runs.
func RuntimeUp(dial func(context.Context) (Runtime, error)) Check {
	return Check{"CRI", func(ctx context.Context) (warnings, faults []error) {
		runtime, err := dial(ctx)
		if err == nil {
			err = runtime.Check(ctx)
		}
		if err != nil {
			return nil, []error{err}
		}
		return nil, nil
	}}
}

// PullPolicy says what Images does about an image that is not there.
type PullPolicy struct {
	Always   bool // pull even what is there
	Never    bool // a missing image is a fault
	Parallel bool // pull all at the same time
}

// Images asks that every image is present and pulls what is not, as the policy says.
func Images(dial func(context.Context) (Runtime, error), images []string, policy PullPolicy) Check {
	return Check{"ImagePull", func(ctx context.Context) (warnings, faults []error) {
		runtime, err := dial(ctx)
		if err != nil {
			return nil, nil // CRI has said so
		}
		results := make([]error, len(images))
		var group sync.WaitGroup
		for i, image := range images {
			if !policy.Parallel {
				results[i] = ensureImage(ctx, runtime, image, policy)
				continue
			}
			group.Go(func() { results[i] = ensureImage(ctx, runtime, image, policy) })
		}
		group.Wait()
		for _, err := range results {
			if err != nil {
				faults = append(faults, err)
			}
		}
		return nil, faults
	}}
}

func ensureImage(ctx context.Context, runtime Runtime, image string, policy PullPolicy) error {
	present, err := runtime.HasImage(ctx, image)
	switch {
	case err != nil:
		return err
	case present && !policy.Always:
		return nil
	case policy.Never:
		return fmt.Errorf("image %s is not present and imagePullPolicy is Never: import it into the container runtime", image)
	}
	if err := runtime.PullImage(ctx, image); err != nil {
		return fmt.Errorf("failed to pull image %s: %w: import it into the container runtime, or choose another registry with --image-repository", image, err)
	}
	return nil
}

// Proxy warns when requests to an address would go through an HTTP proxy.
func Proxy(f Facts, protocol, host string) Check {
	return Check{"HTTPProxy", func(context.Context) (warnings, faults []error) {
		variable := strings.ToUpper(protocol) + "_PROXY"
		proxy := f.Env(variable)
		if proxy == "" {
			proxy = f.Env(strings.ToLower(variable))
		}
		excluded := f.Env("NO_PROXY") + "," + f.Env("no_proxy")
		if proxy == "" || covers(excluded, host) {
			return nil, nil
		}
		return fault("connection to %q uses proxy %q. If that is not intended, adjust your proxy settings (NO_PROXY)", protocol+"://"+host, proxy), nil
	}}
}

// covers reports whether a NO_PROXY list excludes host, by equality, suffix or range.
func covers(list, host string) bool {
	ip := net.ParseIP(host)
	for _, item := range strings.Split(list, ",") {
		item = strings.TrimSpace(item)
		switch _, subnet, err := net.ParseCIDR(item); {
		case item == "":
		case item == "*" || item == host:
			return true
		case err == nil && ip != nil && subnet.Contains(ip):
			return true
		case ip == nil && strings.HasSuffix(host, "."+strings.TrimPrefix(item, ".")):
			return true
		}
	}
	return false
}

// Endpoint asks that a TCP address answers; it is for servers the user named, such as an external etcd.
func Endpoint(name, address string, probe func(ctx context.Context, address string) error) Check {
	return Check{name, func(ctx context.Context) (warnings, faults []error) {
		if err := probe(ctx, address); err != nil {
			return nil, fault("%s cannot be reached: %w", address, err)
		}
		return nil, nil
	}}
}
