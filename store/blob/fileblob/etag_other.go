//go:build !unix

package fileblob

import (
	"fmt"
	"io/fs"
)

// etag names this state of a file.
func etag(info fs.FileInfo) string {
	return fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size())
}
