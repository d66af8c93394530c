package verify

import (
	"context"
	"errors"
	"io"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/fileindex"
	"example.com/nixs3/store/internal/presence"
	"example.com/nixs3/store/layout"
)

// wholeIndexes reads the indexes of the whole cache, where there are any. Whether
// they are up to date is not checked: they describe the cache at the time when they
// were made.
func (c *checker) wholeIndexes(ctx context.Context) error {
	for key, read := range map[string]func(context.Context) error{
		layout.FileIndexKey: c.readFileIndex, layout.PresenceKey: c.readPresence,
	} {
		switch err := read(ctx); {
		case err == nil, errors.Is(err, blob.ErrNotFound):
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, fileindex.ErrFormat), errors.Is(err, presence.ErrFormat), errors.Is(err, blob.ErrTooLarge):
			c.found(Finding{Kind: WholeIndexInvalid, Key: key, Detail: err.Error()})
		default:
			c.yield(Finding{}, &UncheckedError{key, err})
		}
		if c.stopped {
			return nil
		}
	}
	return nil
}

func (c *checker) readFileIndex(ctx context.Context) error {
	obj, err := c.bucket.Get(ctx, layout.FileIndexKey, blob.GetOptions{})
	if err != nil {
		return err
	}
	defer obj.Body.Close()
	x, err := fileindex.NewReader(obj.Body)
	if err != nil {
		return err
	}
	defer x.Close()
	for {
		r, err := x.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for _, err := range r.Entries() {
			if err != nil {
				return err
			}
		}
	}
}

// readPresence reads the index of paths if one of the given keys has signed it:
// without a signature, nothing of it is looked at.
func (c *checker) readPresence(ctx context.Context) error {
	if len(c.opts.TrustedKeys) == 0 {
		return nil
	}
	data, _, err := blob.ReadAll(ctx, c.bucket, layout.PresenceKey, presence.MaxSize)
	if err != nil {
		return err
	}
	if _, err = presence.Parse(data, c.opts.TrustedKeys); errors.Is(err, presence.ErrUntrusted) {
		return nil
	}
	return err
}
