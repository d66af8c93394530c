package fileblob

import (
	"context"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"example.com/nixs3/store/blob"
)

// copyFile lets the kernel copy content that is a part of a file into dst, as
// far as it can, and returns the number of bytes. An error of the kernel shows
// again when the rest is read and written.
func copyFile(ctx context.Context, dst *os.File, content blob.Content) (int64, error) {
	section, ok := content.(*io.SectionReader)
	if !ok {
		return 0, nil
	}
	outer, from, size := section.Outer()
	src, ok := outer.(*os.File)
	if !ok {
		return 0, nil
	}
	defer runtime.KeepAlive(src)
	var copied int64
	for copied < size {
		if ctx.Err() != nil {
			return copied, context.Cause(ctx)
		}
		n, err := unix.CopyFileRange(int(src.Fd()), &from, int(dst.Fd()), nil, int(min(step, size-copied)), 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return copied, nil
		}
		copied += int64(n)
	}
	return copied, nil
}
