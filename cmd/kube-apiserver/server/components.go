package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
)

// components are the checks behind the deprecated resource componentstatuses: the daemons that usually stand beside
// this server, and etcd.
func (c *config) components() map[string]func(context.Context) (string, error) {
	client := &http.Client{
		Timeout: 5 * time.Second,
		// The daemons serve with self-signed certificates, and nothing is told to them.
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}, // see above
	}
	out := map[string]func(context.Context) (string, error){
		"scheduler":          daemonHealth(client, "https://127.0.0.1:10259/healthz"),
		"controller-manager": daemonHealth(client, "https://127.0.0.1:10257/healthz"),
	}
	for i, config := range c.storage.Configs() {
		out[fmt.Sprintf("etcd-%d", i)] = func(ctx context.Context) (string, error) {
			prober, err := factory.CreateProber(config)
			if err != nil {
				return "", err
			}
			defer func() { _ = prober.Close() }()
			if err := prober.Probe(ctx); err != nil {
				return "", err
			}
			return "ok", nil
		}
	}
	return out
}

func daemonHealth(client *http.Client, url string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return "", err
		}
		resp, err := client.Do(req)
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
		if err != nil {
			return "", err
		}
		if resp.StatusCode != http.StatusOK {
			return "", errors.New(resp.Status + ": " + string(body))
		}
		return string(body), nil
	}
}
