package images

import (
	"context"
	"errors"

	"k8s.io/client-go/util/flowcontrol"
)

// PullLimits bound how many images are pulled at once and how many a second.
type PullLimits struct {
	slots chan struct{} // nil: any number at once
	rate  flowcontrol.RateLimiter
}

var errPullRate = errors.New("pull QPS exceeded")

// NewPullLimits pulls one at a time with serial, else at most parallel (nil: any number); qps a second, burst at once;
// qps 0: no limit.
func NewPullLimits(serial bool, parallel *int32, qps, burst int32) PullLimits {
	var l PullLimits
	switch {
	case serial:
		l.slots = make(chan struct{}, 1)
	case parallel != nil:
		l.slots = make(chan struct{}, *parallel)
	}
	if qps > 0 {
		l.rate = flowcontrol.NewTokenBucketRateLimiter(float32(qps), int(burst))
	}
	return l
}

// begin waits for a turn; done ends it.
func (l PullLimits) begin(ctx context.Context) (done func(), err error) {
	if l.rate != nil && !l.rate.TryAccept() {
		return nil, errPullRate
	}
	if l.slots == nil {
		return func() {}, nil
	}
	select {
	case l.slots <- struct{}{}:
		return func() { <-l.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
