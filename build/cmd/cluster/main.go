// Command cluster runs a Pilotis cluster in namespaces of this machine; the Makefile's targets call it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"pilotis.dev/build/cluster"
)

func main() { os.Exit(run(os.Args[1:])) }

const usage = `usage: cluster COMMAND [flags]

  up          bring the cluster up, or complete it
  down        remove everything of it
  status      tell what runs
  kubeconfig  print the path of the admin kubeconfig
  load        import an image archive into every node
  enter       run a command in the cluster's network
  shell       run a command inside a node
  logs        show a part's log

`

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	executable, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		return 1
	}
	var c cluster.Config
	var node, image, command, part string
	fs := pflag.NewFlagSet("cluster", pflag.ContinueOnError)
	fs.StringVar(&c.Name, "name", "pilotis", "name of the cluster")
	fs.StringVar(&c.Root, "root", filepath.Dir(filepath.Dir(executable)), "the repository, with bin/ and out/")
	fs.StringVar(&c.StateDir, "state-dir", "/var/lib/pilotis", "folder of the clusters' files")
	fs.IntVar(&c.Nodes, "nodes", 2, "number of nodes, the control plane among them")
	fs.IntVar(&c.ControlPlanes, "control-planes", 1, "number of control-plane nodes")
	fs.IntVar(&c.APIPort, "api-port", 0, "port of 127.0.0.1 for the API; 0: the first free one from 6443 on")
	fs.DurationVar(&c.Wait, "wait", 4*time.Minute, "how long a step of up may wait; more on a very slow machine")
	fs.StringVar(&node, "node", "", "a node's name, for enter, shell and logs")
	fs.StringVar(&image, "image", "", "an OCI or Docker archive, for load")
	fs.StringVar(&command, "command", "", "a shell command, for enter")
	fs.StringVar(&part, "part", "", "a daemon or container, for logs")
	fs.Usage = func() { fmt.Fprint(os.Stderr, usage, fs.FlagUsages()) }
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return 0
		}
		fmt.Fprintln(os.Stderr, "cluster:", err)
		return 1
	}
	verb := strings.Join(fs.Args()[:min(1, fs.NArg())], "")
	switch verb {
	case "up":
		err = c.Up(ctx, os.Stdout)
	case "down":
		err = c.Down(ctx, os.Stdout)
	case "status":
		err = c.Status(ctx, os.Stdout)
	case "kubeconfig":
		fmt.Println(c.Kubeconfig())
	case "load":
		err = c.Load(ctx, image, os.Stdout)
	case "enter":
		err = c.Enter(node, command)
	case "shell":
		err = c.NodeShell(ctx, node, fs.Args()[1:])
	case "logs":
		err = c.Logs(part, node, os.Stdout)
	case "forward":
		err = c.Forward(ctx, c.APIPort)
	case "node-spawn":
		err = c.SpawnNode(node, os.Stdout)
	case "node-init":
		err = c.RunNode(node)
	case "":
		fs.Usage()
		return 1
	default:
		err = fmt.Errorf("unknown command %q: cluster --help lists them", verb)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		return 1
	}
	return 0
}
