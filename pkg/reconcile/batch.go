package reconcile

import (
	"context"
	"errors"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// MaxBatch bounds the writes of one key that are under way at once.
const MaxBatch = 250

// SlowStart calls act for 0 … count-1 in batches of 1, 2, 4 … up to MaxBatch, each batch in parallel, and stops after a batch
// with an error: a quota that is used up or a template that admission refuses costs one refused request and not count.
// It returns how many calls succeeded, and the first error.
func SlowStart(ctx context.Context, count int, act func(ctx context.Context, i int) error) (int, error) {
	done, start := 0, 0
	for size := 1; start < count; size = min(2*size, MaxBatch) {
		size = min(size, count-start)
		ok, err := Parallel(ctx, size, func(ctx context.Context, i int) error { return act(ctx, start+i) })
		done += ok
		if err != nil {
			return done, err
		}
		start += size
	}
	return done, nil
}

// Parallel calls act for 0 … count-1, at most MaxBatch at once, and returns how many succeeded and the first error by index.
func Parallel(ctx context.Context, count int, act func(ctx context.Context, i int) error) (int, error) {
	if count <= 0 {
		return 0, nil
	}
	errs := make([]error, count)
	slots := make(chan struct{}, MaxBatch)
	var wait sync.WaitGroup
	for i := range count {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			if errs[i] = ctx.Err(); errs[i] == nil {
				errs[i] = act(ctx, i)
			}
		})
	}
	wait.Wait()
	done := 0
	var first error
	for _, err := range errs {
		switch {
		case err == nil:
			done++
		case first == nil:
			first = err
		}
	}
	return done, first
}

// ErrRoutine marks an error that is part of normal operation (a lost race, a write that waits for another): it leads to a
// retry with back-off, and is not worth an error line in the log.
var ErrRoutine = errors.New("to be repeated")

// IsRoutine tells whether err is a lost race that a retry resolves: a conflict, an object that already exists or is already
// gone, a namespace in termination, or an error that wraps ErrRoutine.
func IsRoutine(err error) bool {
	return errors.Is(err, ErrRoutine) || apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) ||
		apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, "NamespaceTerminating")
}
