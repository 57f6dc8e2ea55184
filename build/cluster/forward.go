package cluster

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// choosePort gives the TCP port of 127.0.0.1 that the API will be at.
func (c Config) choosePort() (int, error) {
	if c.APIPort != 0 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", c.APIPort))
		if err != nil {
			return 0, fmt.Errorf("API_PORT=%d: %w: choose another, or leave it out", c.APIPort, err)
		}
		return c.APIPort, l.Close()
	}
	for port := 6443; port < 6543; port++ {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no port of 127.0.0.1 between 6443 and 6542 is free: name one with API_PORT")
}

// openAPI starts the forwarder, unless it runs, and waits until the API answers through it.
func (c Config) openAPI(ctx context.Context, s *state) error {
	if !s.Processes["forward"].alive() {
		log, err := os.Create(filepath.Join(c.dir(), "forward.log"))
		if err != nil {
			return err
		}
		defer log.Close()
		cmd := exec.Command(c.bin("cluster"), "forward", "--name="+c.Name, "--root="+c.Root, "--state-dir="+c.StateDir, "--api-port="+strconv.Itoa(s.APIPort))
		cmd.Stdout, cmd.Stderr = log, log
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			return err
		}
		proc, err := identify(cmd.Process.Pid)
		if err != nil {
			return err
		}
		s.Processes["forward"] = proc
		if err := s.save(); err != nil {
			return err
		}
	}
	return eventually(ctx, c.Wait, "the API answers", func(ctx context.Context) error {
		_, err := c.kubectl(ctx, "get", "--raw", "/readyz")
		return err
	})
}

// Forward carries connections to 127.0.0.1:port into the control plane's network until ctx ends.
func (c Config) Forward(ctx context.Context, port int) error {
	s, err := c.load()
	if err != nil {
		return err
	}
	// In a cgroup of the cluster it is found by Down, even if the tool that started it was killed.
	if err := c.enterCgroups("forward", os.Getpid()); err != nil {
		return err
	}
	first := s.Config.NodeList()[0]
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		go func() {
			if err := c.carry(conn, first); err != nil {
				fmt.Fprintln(os.Stderr, time.Now().Format(time.RFC3339), err)
			}
		}()
	}
}

func (c Config) carry(conn net.Conn, to Node) error {
	defer conn.Close()
	var target net.Conn
	err := inNamespace(c.namespace(to.Name), func() (err error) {
		target, err = net.DialTimeout("tcp", net.JoinHostPort(to.Address, "6443"), 10*time.Second)
		return err
	})
	if err != nil {
		return err
	}
	defer target.Close()
	var g errgroup.Group
	g.Go(func() error { return copyHalf(target, conn) })
	g.Go(func() error { return copyHalf(conn, target) })
	return g.Wait()
}

// copyHalf copies one direction and passes its end on.
func copyHalf(to, from net.Conn) error {
	_, err := io.Copy(to, from)
	if tcp, ok := to.(*net.TCPConn); ok {
		_ = tcp.CloseWrite() // fails where the peer is gone already, which the other direction tells
	}
	return err
}

// resolve asks the name server at address for a name's IPv4 address. It is called on a thread that is in the
// cluster's network, so it opens its socket itself.
func resolve(ctx context.Context, server, name string) error {
	conn, err := net.DialTimeout("udp", net.JoinHostPort(server, "53"), time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err = r.LookupNetIP(ctx, "ip4", name)
	return err
}
