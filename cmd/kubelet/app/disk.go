package app

import "golang.org/x/sys/unix"

// imageDisk is the use of the file system that the runtime keeps images on.
func (d *daemon) imageDisk() (used, size uint64, err error) {
	path, err := d.imageFolder()
	if err != nil {
		return 0, 0, err
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return 0, 0, err
	}
	size = fs.Blocks * uint64(fs.Bsize)
	return size - fs.Bavail*uint64(fs.Bsize), size, nil
}
