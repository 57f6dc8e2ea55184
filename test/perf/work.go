package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"golang.org/x/sync/errgroup"
)

// rate does something count times with so many workers and gives how often it was done in a second.
func rate(ctx context.Context, workers, count int, do func(ctx context.Context, i int) error) (float64, error) {
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for w := range workers {
		group.Go(func() error {
			for i := w; i < count; i += workers {
				if err := do(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	return float64(count) / time.Since(began).Seconds(), err
}

func holdsLease(ctx context.Context, client kubernetes.Interface, name string) bool {
	lease, err := client.CoordinationV1().Leases("kube-system").Get(ctx, name, metav1.GetOptions{})
	return err == nil && lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity != ""
}

// busy is the CPU time that a daemon uses while f runs. With --profiles, a profile of it is left in out/.
func (p *plane) busy(ctx context.Context, what string, daemon *process, f func() error) (time.Duration, error) {
	before, err := cpu(daemon.pid())
	if err != nil {
		return 0, err
	}
	if err := p.profiled(ctx, what, daemon, f); err != nil {
		return 0, err
	}
	after, err := cpu(daemon.pid())
	return after - before, err
}

// profileSeconds is how much of the work a profile shows.
const profileSeconds = 10

func (p *plane) profiled(ctx context.Context, what string, daemon *process, f func() error) error {
	if !*profiles {
		return f()
	}
	config := rest.CopyConfig(p.admin)
	config.Insecure, config.CAData, config.CAFile = true, nil, "" // some daemons serve with a certificate that they sign themselves
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.Go(f)
	group.Go(func() error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("https://127.0.0.1:%d/debug/pprof/profile?seconds=%d", daemon.port, profileSeconds), nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(request)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(p.root, "out", strings.ReplaceAll(what, " ", "-")+".pprof"), data, 0o644)
	})
	return group.Wait()
}
