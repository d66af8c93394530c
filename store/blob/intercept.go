package blob

import (
	"context"
	"iter"
)

// Call is one operation on an intercepted bucket: its arguments and, after it was
// performed, its results. See [Intercept].
type Call struct {
	// Op is Get, Head, Put, Delete, List, Copy, Stage, Commit, Uploads or
	// Abort.
	Op string

	// Key is the key of the object. It is the prefix of List and Uploads, the
	// first key of Delete, and empty for Stage.
	Key  string
	Keys []string // of Delete
	Ref  bool     // Key is a reference, as Referrer takes it

	Get  GetOptions  // of Get
	Put  PutOptions  // of Put, Copy and Commit
	List ListOptions // of List

	Content   Content // of Put
	Size      int64   // of the content of Put and Commit, in bytes
	Source    Bucket  // of Copy
	SourceKey string  // of Copy
	Upload    Upload  // of Abort

	// Each is called by List and Uploads with the key of every item before the
	// item is yielded, if it is not nil. An error ends the listing.
	Each func(key string) error

	Object *Object // result of Get
	Attrs  Attrs   // result of Head, Put, Copy and Commit
	Staged Staged  // result of Stage
}

// Around runs around every operation of an intercepted bucket. It calls do at
// most once. do performs the operation with the context that it gets and the
// arguments that the call has at that time. Around may change the arguments
// before and the results afterwards. Its error becomes the operation's. Several
// goroutines call Around at once; each Call belongs to one of them.
//
// A Get ends when the object is open, and a Stage when it can be written to. To
// follow the bytes, Around wraps Object.Body or Staged. A List or Uploads ends
// with the iteration. If the caller stops it early, do returns nil. A Commit has
// the context of its Stage.
type Around func(ctx context.Context, call *Call, do func(context.Context) error) error

// Intercept returns b with around run around every operation. [As] gives the
// optional interfaces [Copier], [UploadCleaner], [Stager] and [Referrer] of the
// result if b has them, and their operations are intercepted too. Other
// interfaces, such as [Presigner], are those of b itself. String and Close are
// passed on.
func Intercept(b Bucket, around Around) Wrapper { return &intercepted{b, around} }

type intercepted struct {
	behind Bucket
	around Around
}

func (b *intercepted) Unwrap() Bucket { return b.behind }
func (b *intercepted) String() string { return b.behind.String() }
func (b *intercepted) Close() error   { return b.behind.Close() }

func (b *intercepted) Get(ctx context.Context, key string, opts GetOptions) (*Object, error) {
	return b.get(ctx, &Call{Op: "Get", Key: key, Get: opts}, b.behind.Get)
}

func (b *intercepted) get(ctx context.Context, call *Call, get func(context.Context, string, GetOptions) (*Object, error)) (*Object, error) {
	err := b.around(ctx, call, func(ctx context.Context) (err error) {
		call.Object, err = get(ctx, call.Key, call.Get)
		return err
	})
	if err != nil {
		if call.Object != nil { // around failed after do had opened it
			call.Object.Body.Close()
		}
		return nil, err
	}
	return call.Object, nil
}

// attrs runs a call whose result is attributes.
func (b *intercepted) attrs(ctx context.Context, call *Call, do func(context.Context) (Attrs, error)) (Attrs, error) {
	err := b.around(ctx, call, func(ctx context.Context) (err error) {
		call.Attrs, err = do(ctx)
		return err
	})
	if err != nil {
		return Attrs{}, err
	}
	return call.Attrs, nil
}

func (b *intercepted) Head(ctx context.Context, key string) (Attrs, error) {
	call := &Call{Op: "Head", Key: key}
	return b.attrs(ctx, call, func(ctx context.Context) (Attrs, error) { return b.behind.Head(ctx, call.Key) })
}

func (b *intercepted) Put(ctx context.Context, key string, content Content, opts PutOptions) (Attrs, error) {
	call := &Call{Op: "Put", Key: key, Content: content, Size: content.Size(), Put: opts}
	return b.attrs(ctx, call, func(ctx context.Context) (Attrs, error) {
		return b.behind.Put(ctx, call.Key, call.Content, call.Put)
	})
}

func (b *intercepted) Delete(ctx context.Context, keys ...string) error {
	call := &Call{Op: "Delete", Keys: keys}
	if len(keys) > 0 {
		call.Key = keys[0]
	}
	return b.around(ctx, call, func(ctx context.Context) error { return b.behind.Delete(ctx, call.Keys...) })
}

func (b *intercepted) List(ctx context.Context, opts ListOptions) iter.Seq2[Attrs, error] {
	return interceptSeq(ctx, b.around, Call{Op: "List", Key: opts.Prefix, List: opts},
		func(ctx context.Context, call *Call) iter.Seq2[Attrs, error] {
			call.List.Prefix = call.Key
			return b.behind.List(ctx, call.List)
		}, func(a Attrs) string { return a.Key })
}

// interceptSeq makes a call of every iteration.
func interceptSeq[T any](ctx context.Context, around Around, template Call,
	list func(context.Context, *Call) iter.Seq2[T, error], key func(T) string,
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		call := template
		stopped := false
		err := around(ctx, &call, func(ctx context.Context) error {
			for item, err := range list(ctx, &call) {
				if err == nil && call.Each != nil {
					err = call.Each(key(item))
				}
				if err != nil {
					return err
				}
				if !yield(item, nil) {
					stopped = true
					return nil
				}
			}
			return nil
		})
		if err != nil && !stopped {
			var none T
			yield(none, err)
		}
	}
}

// As implements [Wrapper].
func (b *intercepted) As(target any) bool {
	switch t := target.(type) {
	case *Copier:
		return forward(b, t, func(behind Copier) Copier { return interceptedCopier{b, behind} })
	case *UploadCleaner:
		return forward(b, t, func(behind UploadCleaner) UploadCleaner { return interceptedCleaner{b, behind} })
	case *Stager:
		return forward(b, t, func(behind Stager) Stager { return interceptedStager{b, behind} })
	case *Referrer:
		return forward(b, t, func(behind Referrer) Referrer { return interceptedReferrer{b, behind} })
	}
	return false
}

// forward sets target to the intercepted form of an interface that the bucket
// behind has.
func forward[T any](b *intercepted, target *T, intercept func(T) T) bool {
	behind, ok := As[T](b.behind)
	if ok {
		*target = intercept(behind)
	}
	return ok
}

type interceptedCopier struct {
	b      *intercepted
	behind Copier
}

func (c interceptedCopier) CopyFrom(ctx context.Context, key string, src Bucket, srcKey string, opts PutOptions) (Attrs, error) {
	call := &Call{Op: "Copy", Key: key, Source: src, SourceKey: srcKey, Put: opts}
	return c.b.attrs(ctx, call, func(ctx context.Context) (Attrs, error) {
		return c.behind.CopyFrom(ctx, call.Key, call.Source, call.SourceKey, call.Put)
	})
}

type interceptedCleaner struct {
	b      *intercepted
	behind UploadCleaner
}

func (u interceptedCleaner) Uploads(ctx context.Context, prefix string) iter.Seq2[Upload, error] {
	return interceptSeq(ctx, u.b.around, Call{Op: "Uploads", Key: prefix},
		func(ctx context.Context, call *Call) iter.Seq2[Upload, error] { return u.behind.Uploads(ctx, call.Key) },
		func(up Upload) string { return up.Key })
}

func (u interceptedCleaner) AbortUpload(ctx context.Context, up Upload) error {
	call := &Call{Op: "Abort", Key: up.Key, Upload: up}
	return u.b.around(ctx, call, func(ctx context.Context) error { return u.behind.AbortUpload(ctx, call.Upload) })
}

type interceptedReferrer struct {
	b      *intercepted
	behind Referrer
}

func (r interceptedReferrer) GetRef(ctx context.Context, ref string, opts GetOptions) (*Object, error) {
	return r.b.get(ctx, &Call{Op: "Get", Key: ref, Ref: true, Get: opts}, r.behind.GetRef)
}

type interceptedStager struct {
	b      *intercepted
	behind Stager
}

func (s interceptedStager) Stage(ctx context.Context) (Staged, error) {
	call := &Call{Op: "Stage"}
	err := s.b.around(ctx, call, func(inner context.Context) error {
		behind, err := s.behind.Stage(inner)
		if err != nil {
			return err
		}
		call.Staged = &interceptedStaged{Staged: behind, b: s.b, ctx: ctx}
		return nil
	})
	if err != nil {
		if call.Staged != nil {
			call.Staged.Close()
		}
		return nil, err
	}
	return call.Staged, nil
}

type interceptedStaged struct {
	Staged
	b    *intercepted
	ctx  context.Context
	size int64
}

func (s *interceptedStaged) Write(p []byte) (int, error) {
	n, err := s.Staged.Write(p)
	s.size += int64(n)
	return n, err
}

func (s *interceptedStaged) Commit(key string, opts PutOptions) (Attrs, error) {
	call := &Call{Op: "Commit", Key: key, Put: opts, Size: s.size}
	return s.b.attrs(s.ctx, call, func(context.Context) (Attrs, error) { return s.Staged.Commit(call.Key, call.Put) })
}
