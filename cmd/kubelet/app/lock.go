package app

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

// holdLock waits for the lock of --lock-file and keeps it until the process ends. With leave set the context that it returns ends
// as soon as another process opens the file.
func holdLock(ctx context.Context, path string, leave bool) (context.Context, error) {
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return ctx, fmt.Errorf("--lock-file %s: %w", path, err)
	}
	if err := unix.Flock(fd, unix.LOCK_EX); err != nil {
		return ctx, fmt.Errorf("--lock-file %s: %w", path, err)
	}
	if !leave {
		return ctx, nil
	}
	events, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err == nil {
		_, err = unix.InotifyAddWatch(events, path, unix.IN_OPEN|unix.IN_DELETE_SELF)
	}
	if err != nil {
		return ctx, fmt.Errorf("--exit-on-lock-contention: watching %s: %w", path, err)
	}
	contended, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		defer unix.Close(events)
		if _, err := unix.Read(events, make([]byte, unix.SizeofInotifyEvent+unix.NAME_MAX+1)); err != nil {
			klog.FromContext(ctx).Error(err, "Whether another process wants the lock file cannot be told any more: leaving", "file", path)
			return
		}
		klog.FromContext(ctx).Info("Another process wants the lock file: leaving", "file", path)
	}()
	return contended, nil
}
