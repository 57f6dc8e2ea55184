package host

import (
	"net"
	"os"
	"strings"
)

const (
	resolvConf        = "/etc/resolv.conf"
	systemdResolvConf = "/run/systemd/resolve/resolv.conf"
)

// ResolvConf returns the resolver file pods shall inherit: systemd-resolved's list of real servers when /etc/resolv.conf only names
// its stub on loopback, else "" (the kubelet's own default, /etc/resolv.conf).
func (*Local) ResolvConf() string {
	if _, err := os.Stat(systemdResolvConf); err != nil {
		return ""
	}
	data, err := os.ReadFile(resolvConf)
	if err == nil && !HasNameserver(data) && strings.Contains(string(data), "nameserver") {
		return systemdResolvConf
	}
	return ""
}

// HasNameserver reports whether a resolver file names a server that is not on loopback, that is, one a pod can reach.
func HasNameserver(data []byte) bool {
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		address, _, _ := strings.Cut(fields[1], "%")
		if ip := net.ParseIP(address); ip != nil && !ip.IsLoopback() && !ip.IsUnspecified() {
			return true
		}
	}
	return false
}
