package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clusterName is that of the cluster which measureCluster brings up.
const clusterName = "bench"

// measureCluster brings a two-node cluster up and looks at it while nothing happens.
func measureCluster(ctx context.Context, root string, r *report) (err error) {
	tool := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, filepath.Join(root, "bin", "cluster"), append([]string{args[0], "--name=" + clusterName}, args[1:]...)...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("cluster %s: %w: %s", args[0], err, out)
		}
		return string(out), nil
	}
	began := time.Now()
	defer func() {
		_, downErr := tool("down")
		err = errors.Join(err, downErr)
	}()
	if _, err := tool("up", "--nodes=2"); err != nil {
		return err
	}
	r.add("`make up` warm, two nodes Ready, DNS answers", time.Since(began).Seconds(), "s", "≤ 45 s (goals.md: 15)")
	if err := pause(ctx, time.Minute); err != nil {
		return err
	}
	daemons := []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"}
	const idle = 30 * time.Second
	var memory float64
	var pids []int
	var before, after time.Duration
	for _, name := range daemons {
		pid, err := inCluster(name)
		if err != nil {
			return err
		}
		mb, err := resident(pid)
		if err != nil {
			return err
		}
		r.add(name+": idle memory in the cluster", mb, "MB", "")
		memory += mb
		pids = append(pids, pid)
	}
	r.add("the three together", memory, "MB", "≤ 400 MB (goals.md: 0.5 × 453)")
	for _, sum := range []*time.Duration{&before, &after} {
		for _, pid := range pids {
			used, err := cpu(pid)
			if err != nil {
				return err
			}
			*sum += used
		}
		if sum == &before {
			if err := pause(ctx, idle); err != nil {
				return err
			}
		}
	}
	r.add("idle CPU of the three", 1000*(after-before).Seconds()/idle.Seconds(), "millicores", "≤ 0.4 × 34")
	return nil
}

// inCluster finds the process of a daemon in the cluster's cgroups.
func inCluster(name string) (int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		command, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil || filepath.Base(string(bytes.SplitN(command, []byte{0}, 2)[0])) != name {
			continue
		}
		if groups, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cgroup")); err == nil && strings.Contains(string(groups), "/pilotis/"+clusterName+"/") {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("%s does not run in the cluster %s", name, clusterName)
}
