package desired

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// maxManifest bounds what a manifest URL may answer.
const maxManifest = 10 << 20

// WatchURL gives set the pods of a manifest at url, every interval, until ctx ends.
func (s Static) WatchURL(ctx context.Context, url string, header map[string][]string, every time.Duration, set *Set) {
	client := &http.Client{Timeout: 10 * time.Second}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	last := ""
	for {
		data, err := fetch(ctx, client, url, header)
		if err == nil && string(data) != last {
			var pods []*v1.Pod
			if pods, err = s.decoder().static(data, HTTP, url); err == nil {
				set.Replace(HTTP, pods)
				last = string(data)
			}
		}
		if err != nil {
			klog.FromContext(ctx).Error(err, "The static pod manifest cannot be read", "url", url)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func fetch(ctx context.Context, client *http.Client, url string, header map[string][]string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header = header
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxManifest))
}
