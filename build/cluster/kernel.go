package cluster

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// checkNftables asks the kernel, inside a namespace of the cluster, for what kube-proxy and the pod network write.
func checkNftables(namespace string) error {
	return inNamespace(namespace, func() error {
		out, err := exec.Command("nft", "add table inet pilotis-check; delete table inet pilotis-check").CombinedOutput()
		if err != nil {
			return fmt.Errorf("the kernel takes no nftables rules: %w: %s: load its module (modprobe nf_tables)", err, firstLine(string(out)))
		}
		return nil
	})
}

// missingModule is what to do about an error that means that the kernel lacks a feature; otherwise it is empty.
func missingModule(err error, module string) string {
	for _, lacking := range []error{unix.ENODEV, unix.EOPNOTSUPP, unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT} {
		if errors.Is(err, lacking) {
			return ": the kernel has no " + module + ": load its module (modprobe " + module + ")"
		}
	}
	return ""
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
