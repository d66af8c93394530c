package otelblob

import (
	"cmp"
	"context"
	"iter"
	"sync"

	"example.com/nixs3/store/blob"
)

// As implements [blob.Wrapper].
func (b *Bucket) As(target any) bool {
	switch t := target.(type) {
	case *blob.Copier:
		return forward(b, t, func(behind blob.Copier) blob.Copier { return copier{b, behind} })
	case *blob.Uploader:
		return forward(b, t, func(behind blob.Uploader) blob.Uploader { return uploader{b, behind} })
	case *blob.Stager:
		return forward(b, t, func(behind blob.Stager) blob.Stager { return stager{b, behind} })
	case *blob.Referrer:
		return forward(b, t, func(behind blob.Referrer) blob.Referrer { return referrer{b, behind} })
	}
	return false
}

// forward sets target to the watched form of what the bucket behind is.
func forward[T any](b *Bucket, target *T, watched func(T) T) bool {
	behind, ok := blob.As[T](b.behind)
	if ok {
		*target = watched(behind)
	}
	return ok
}

type copier struct {
	b      *Bucket
	behind blob.Copier
}

func (c copier) CopyFrom(ctx context.Context, key string, src blob.Bucket, srcKey string, opts blob.PutOptions) (blob.Attrs, error) {
	ctx, op := c.b.watch.begin(ctx, "Copy", class(key))
	attrs, err := c.behind.CopyFrom(ctx, key, src, srcKey, opts)
	op.end(ctx, err)
	return attrs, err
}

type uploader struct {
	b      *Bucket
	behind blob.Uploader
}

func (u uploader) Uploads(ctx context.Context, prefix string) iter.Seq2[blob.Upload, error] {
	return watchSeq(u.b, ctx, "Uploads", prefix, func(ctx context.Context) iter.Seq2[blob.Upload, error] {
		return u.behind.Uploads(ctx, prefix)
	})
}

func (u uploader) AbortUpload(ctx context.Context, up blob.Upload) error {
	ctx, op := u.b.watch.begin(ctx, "Abort", class(up.Key))
	err := u.behind.AbortUpload(ctx, up)
	op.end(ctx, err)
	return err
}

type referrer struct {
	b      *Bucket
	behind blob.Referrer
}

func (r referrer) GetRef(ctx context.Context, ref string, opts blob.GetOptions) (*blob.Object, error) {
	return r.b.get(ctx, ref, func(ctx context.Context) (*blob.Object, error) { return r.behind.GetRef(ctx, ref, opts) })
}

type stager struct {
	b      *Bucket
	behind blob.Stager
}

func (s stager) Stage(ctx context.Context) (blob.Staged, error) {
	// What it will be is not known before it is committed.
	ctx, op := s.b.watch.begin(ctx, "Stage", classOther)
	behind, err := s.behind.Stage(ctx)
	if err != nil {
		op.end(ctx, err)
		return nil, err
	}
	return &staged{Staged: behind, ctx: ctx, op: op}, nil
}

// staged ends the operation when it is committed or discarded.
type staged struct {
	blob.Staged
	ctx  context.Context
	op   *operation
	n    int64
	err  error // the first one of Write
	once sync.Once
}

func (s *staged) Write(p []byte) (int, error) {
	n, err := s.Staged.Write(p)
	s.n += int64(n)
	s.err = cmp.Or(s.err, err)
	return n, err
}

func (s *staged) Commit(key string, opts blob.PutOptions) (blob.Attrs, error) {
	attrs, err := s.Staged.Commit(key, opts)
	s.once.Do(func() {
		s.op.class = class(key)
		if err == nil {
			s.op.written = s.n
		}
		s.op.end(s.ctx, err)
	})
	return attrs, err
}

func (s *staged) Close() error {
	err := s.Staged.Close()
	s.once.Do(func() {
		s.op.end(s.ctx, cmp.Or(s.err, err))
	})
	return err
}
