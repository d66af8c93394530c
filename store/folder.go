package store

import (
	"net/url"
	"path/filepath"
	"strings"
)

// folderURL returns the file:// URL of a folder that is named as files are: by
// an absolute name, or one that begins with a dot. It may carry the parameters
// of a store URL.
func folderURL(name string) (string, error) {
	dir, query, _ := strings.Cut(name, "?")
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(dir), RawQuery: query}
	return u.String(), nil
}

func namesFolder(rawURL string) bool {
	dir, _, _ := strings.Cut(rawURL, "?")
	return dir == "." || dir == ".." || strings.HasPrefix(dir, "./") || strings.HasPrefix(dir, "../") || filepath.IsAbs(dir)
}
