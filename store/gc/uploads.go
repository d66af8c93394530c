package gc

import (
	"context"
	"errors"
	"path"
	"strings"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// findUploads finds the unfinished uploads that a killed writer may have left,
// where the bucket can list them.
func (c *collector) findUploads(ctx context.Context) error {
	c.uploads = nil
	cleaner, ok := blob.As[blob.UploadCleaner](c.b)
	if !ok {
		return nil
	}
	for u, err := range cleaner.Uploads(ctx, "") {
		if errors.Is(err, errors.ErrUnsupported) {
			return nil
		}
		if errors.Is(err, blob.ErrAccessDenied) {
			c.opts.Logger.WarnContext(ctx, "unfinished uploads stay, since they may not be listed", "bucket", c.b.String(), "error", err)
			return nil
		}
		if err != nil {
			return err
		}
		if isOurs(u.Key) && c.oldUpload(u) {
			c.uploads = append(c.uploads, u)
		}
	}
	return nil
}

// isOurs reports whether an upload with a key is one of a binary cache. Writers
// to a directory have files with names of their own, in place of a key.
func isOurs(key string) bool {
	return layout.KindOf(key) != layout.Other || strings.HasPrefix(path.Base(key), ".nixs3-")
}

// oldUpload reports whether no writer at work has begun an upload.
func (c *collector) oldUpload(u blob.Upload) bool {
	return c.old(secondsOf(u.Initiated), c.opts.Recent)
}

// abortUploads ends the uploads that were found, except those that a writer that
// was seen since may have begun.
func (c *collector) abortUploads(ctx context.Context) error {
	cleaner, _ := blob.As[blob.UploadCleaner](c.b)
	for _, u := range c.uploads {
		if !c.oldUpload(u) {
			continue
		}
		if err := c.stillLocked(); err != nil {
			return err
		}
		if err := cleaner.AbortUpload(ctx, u); err != nil {
			return err
		}
		c.report.Destroyed.add(0)
	}
	return nil
}
