package gc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/layout"
)

// requests is how many requests are under way at a time.
const requests = 64

var (
	silent      = slog.New(slog.DiscardHandler)
	controlType = blob.PutOptions{ContentType: layout.Control.ContentType()}
	binaryType  = blob.PutOptions{ContentType: "application/octet-stream"}
)

// inParallel calls f for each item and returns the first error.
func inParallel[T any](ctx context.Context, items []T, f func(context.Context, T) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(requests)
	for _, item := range items {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error { return f(gctx, item) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// isMissing reports whether a failed read of a control object means that there
// is none. S3 denies access to a missing key where the bucket may not be listed.
func isMissing(err error) bool {
	return errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrNoSuchBucket) || errors.Is(err, blob.ErrAccessDenied)
}

// readSmall reads an object as it is stored, and decoded.
func readSmall(ctx context.Context, b blob.Bucket, key string, kind layout.Kind) (raw, text []byte, attrs blob.Attrs, err error) {
	raw, attrs, err = blob.ReadAll(ctx, b, key, kind.Limit())
	if err != nil {
		return nil, nil, attrs, err
	}
	text, err = codec.DecodeContent(attrs.ContentEncoding, raw, kind.Limit())
	if err != nil {
		err = &blob.Error{Op: "Get", Bucket: b.String(), Key: key, Err: err}
	}
	return raw, text, attrs, err
}

// packing is how objects of collectors are compressed.
const packing = "gzip"

// compressed returns data in the way that decompressed reads.
func compressed(data []byte) ([]byte, error) {
	var buf bytes.Buffer
	w, err := codec.NewWriter(packing, &buf, codec.WriterOptions{Level: 1})
	if err != nil {
		return nil, err
	}
	_, err = w.Write(data)
	err = errors.Join(err, w.Close())
	return buf.Bytes(), err
}

// decompressed fails for data that has more than limit bytes.
func decompressed(data []byte, limit int64) ([]byte, error) {
	r, err := codec.NewReader(packing, bytes.NewReader(data), codec.ReaderOptions{MaxSize: limit})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// deleteAll deletes keys, up to 1,000 a request, several requests at a time.
func deleteAll(ctx context.Context, b blob.Bucket, keys []string) error {
	return inParallel(ctx, slices.Collect(slices.Chunk(keys, deleteBatch)), func(ctx context.Context, batch []string) error {
		if err := b.Delete(ctx, batch...); err != nil {
			return fmt.Errorf("deleting %d objects: %w", len(batch), err)
		}
		return nil
	})
}

// deleteBatch is how many keys S3 takes in a request, deleteTime bounds one.
const (
	deleteBatch = 1000
	deleteTime  = 5 * time.Minute
)
