// Package daemons runs the built programs by themselves on loopback, without a cluster.
package daemons

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Patience bounds every wait.
const Patience = 60 * time.Second

// Program is the path of a built program: in bin/ of PILOTIS_ROOT, or of the repository that a test's folder is in. A path is that of a
// program of a test's own.
func Program(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	root := os.Getenv("PILOTIS_ROOT")
	if root == "" {
		root, _ = filepath.Abs("../../..") // go test runs in the package's folder
	}
	return filepath.Join(root, "bin", name)
}

// Daemon is a program that runs.
type Daemon struct {
	Name  string
	PID   int
	cmd   *exec.Cmd
	log   *os.File
	ended chan struct{}
}

// Start runs a program; what it prints goes to the file <name>.log in dir.
func Start(dir, name string, args ...string) (*Daemon, error) {
	return start(dir, filepath.Base(name), exec.Command(Program(name), args...))
}

// StartOn is Start on a machine that is called hostname, as far as the program sees: in a UTS namespace, which root makes.
func StartOn(hostname, dir, name string, args ...string) (*Daemon, error) {
	cmd := exec.Command("sh", append([]string{"-c", `hostname "$0" && exec "$@"`, hostname, Program(name)}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUTS}
	return start(dir, name, cmd)
}

func start(dir, name string, cmd *exec.Cmd) (*Daemon, error) {
	log, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	d := &Daemon{Name: name, cmd: cmd, log: log, ended: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if d.cmd.SysProcAttr == nil {
		d.cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	d.cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := d.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s (make build makes it): %w", name, err), log.Close())
	}
	d.PID = d.cmd.Process.Pid
	go func() {
		defer close(d.ended)
		_ = d.cmd.Wait() // SIGTERM's exit code is no matter
	}()
	return d, nil
}

// Stop ends the program by SIGTERM; one that goes on is killed and an error.
func (d *Daemon) Stop() error {
	defer d.log.Close()
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.ended:
		return nil
	case <-time.After(Patience):
		_ = d.cmd.Process.Kill()
		<-d.ended
		return fmt.Errorf("%s did not end within %v of SIGTERM", d.Name, Patience)
	}
}

// Ended is closed when the program has ended by itself or otherwise.
func (d *Daemon) Ended() <-chan struct{} { return d.ended }

// Signal sends the program a signal.
func (d *Daemon) Signal(s syscall.Signal) error { return d.cmd.Process.Signal(s) }

// Kill ends the program by SIGKILL, as a crash would, and waits until it is gone.
func (d *Daemon) Kill() {
	_ = d.cmd.Process.Kill()
	<-d.ended
	_ = d.log.Close()
}

// Log is all that the program printed.
func (d *Daemon) Log() []byte {
	data, _ := os.ReadFile(d.log.Name()) // what is gone is not shown
	return data
}

// LastLines are the last n lines that the program printed.
func (d *Daemon) LastLines(n int) []byte {
	lines := bytes.Split(bytes.TrimSpace(d.Log()), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-n):], []byte("\n"))
}

// FreePort is a port of loopback that nobody listens on.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
