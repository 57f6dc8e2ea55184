package app

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// imageDisk is the use of the file system that the runtime keeps images on.
func (d *daemon) imageDisk() (used, size uint64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	info, err := d.images.ImageFsInfo(ctx)
	if err != nil {
		return 0, 0, err
	}
	if len(info.ImageFilesystems) == 0 || info.ImageFilesystems[0].FsId == nil {
		return 0, 0, fmt.Errorf("the container runtime does not say where images are")
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(info.ImageFilesystems[0].FsId.Mountpoint, &fs); err != nil {
		return 0, 0, err
	}
	size = fs.Blocks * uint64(fs.Bsize)
	return size - fs.Bavail*uint64(fs.Bsize), size, nil
}
