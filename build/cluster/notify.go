package cluster

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
)

const (
	notifySocket = "/run/pilotis-notify.sock"
	// runtimeReady exists in a node while its containerd serves: its CRI knows every image that is imported from then on.
	runtimeReady = "/run/containerd-ready"
)

// listenReady takes the messages of sd_notify(3) at notifySocket and makes file when one says READY=1.
func listenReady(file string) error {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notifySocket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("listening for readiness: %w", err)
	}
	go func() {
		message := make([]byte, 4096)
		for {
			n, err := conn.Read(message)
			if err != nil {
				return
			}
			if slices.Contains(strings.Split(string(message[:n]), "\n"), "READY=1") {
				if err := os.WriteFile(file, nil, 0o644); err != nil {
					fmt.Fprintln(os.Stderr, "noting readiness:", err)
				}
			}
		}
	}()
	return nil
}
