package blob_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/fileblob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/storetest"
)

// everything is a bucket with every optional interface.
type everything struct {
	*memblob.Bucket
	staged  *stagedText
	aborted blob.Upload
}

func (e *everything) Unwrap() blob.Bucket { return e.Bucket }
func (e *everything) As(any) bool         { return false }

type stagedText struct {
	strings.Builder
	to     *memblob.Bucket
	closed bool
}

func (s *stagedText) Commit(key string, opts blob.PutOptions) (blob.Attrs, error) {
	return s.to.Put(context.Background(), key, strings.NewReader(s.String()), opts)
}

func (s *stagedText) Close() error {
	s.closed = true
	return nil
}

func (e *everything) Stage(context.Context) (blob.Staged, error) {
	e.staged = &stagedText{to: e.Bucket}
	return e.staged, nil
}

func (e *everything) Uploads(_ context.Context, prefix string) iter.Seq2[blob.Upload, error] {
	return func(yield func(blob.Upload, error) bool) {
		for _, key := range []string{"1", "2"} {
			if !yield(blob.Upload{Key: prefix + key}, nil) {
				return
			}
		}
	}
}

func (e *everything) AbortUpload(_ context.Context, u blob.Upload) error {
	e.aborted = u
	return nil
}

func (e *everything) GetRef(ctx context.Context, ref string, opts blob.GetOptions) (*blob.Object, error) {
	return e.Get(ctx, strings.TrimPrefix(ref, "./"), opts)
}

func newEverything(t *testing.T) *everything {
	t.Helper()
	e := &everything{Bucket: memblob.New()}
	for _, key := range []string{"a", "b", "c"} {
		_, err := e.Put(t.Context(), key, strings.NewReader("content of "+key), blob.PutOptions{})
		require.NoError(t, err)
	}
	return e
}

// as returns an optional interface that the bucket must have.
func as[T any](t *testing.T, b blob.Bucket) T {
	t.Helper()
	v, ok := blob.As[T](b)
	require.True(t, ok, "%T", *new(T))
	return v
}

// operations are all operations of a bucket. Each returns its result as text.
var operations = []struct {
	name string
	op   string // of the Call
	do   func(t *testing.T, b blob.Bucket) (string, error)
	want string
	call string // what Around sees
	done func(e *everything) bool
}{
	{"Get", "Get", func(t *testing.T, b blob.Bucket) (string, error) {
		return bodyOf(b.Get(t.Context(), "a", blob.GetOptions{Offset: 8}))
	}, "of a", `Get "a" from 8`, nil},
	{"GetRef", "Get", func(t *testing.T, b blob.Bucket) (string, error) {
		return bodyOf(as[blob.Referrer](t, b).GetRef(t.Context(), "./a", blob.GetOptions{}))
	}, "content of a", `Get "./a" ref`, nil},
	{"Head", "Head", func(t *testing.T, b blob.Bucket) (string, error) {
		attrs, err := b.Head(t.Context(), "b")
		return attrs.Key, err
	}, "b", `Head "b"`, nil},
	{"Put", "Put", func(t *testing.T, b blob.Bucket) (string, error) {
		attrs, err := b.Put(t.Context(), "new", strings.NewReader("1234"), blob.PutOptions{ContentType: "text/x"})
		return attrs.Key, err
	}, "new", `Put "new" 4 bytes text/x`, func(e *everything) bool { return has(e, "new") }},
	{"Delete", "Delete", func(t *testing.T, b blob.Bucket) (string, error) {
		return "", b.Delete(t.Context(), "b", "c")
	}, "", `Delete "b" [b c]`, func(e *everything) bool { return !has(e, "b") && !has(e, "c") }},
	{"List", "List", func(t *testing.T, b blob.Bucket) (string, error) {
		return keysOf(b.List(t.Context(), blob.ListOptions{StartAfter: "a"}), func(a blob.Attrs) string { return a.Key })
	}, "b c ", `List ""`, nil},
	{"CopyFrom", "Copy", func(t *testing.T, b blob.Bucket) (string, error) {
		attrs, err := as[blob.Copier](t, b).CopyFrom(t.Context(), "copy", b, "a", blob.PutOptions{})
		return attrs.Key, err
	}, "copy", `Copy "copy" of "a"`, func(e *everything) bool { return has(e, "copy") }},
	{"Uploads", "Uploads", func(t *testing.T, b blob.Bucket) (string, error) {
		return keysOf(as[blob.UploadCleaner](t, b).Uploads(t.Context(), "u"), func(u blob.Upload) string { return u.Key })
	}, "u1 u2 ", `Uploads "u"`, nil},
	{"AbortUpload", "Abort", func(t *testing.T, b blob.Bucket) (string, error) {
		return "", as[blob.UploadCleaner](t, b).AbortUpload(t.Context(), blob.Upload{Key: "u1", ID: "x"})
	}, "", `Abort "u1"`, func(e *everything) bool { return e.aborted.ID == "x" }},
	{"Stage", "Stage", func(t *testing.T, b blob.Bucket) (string, error) {
		s, err := as[blob.Stager](t, b).Stage(t.Context())
		if err != nil {
			return "", err
		}
		return "", s.Close()
	}, "", `Stage ""`, func(e *everything) bool { return e.staged != nil }},
	{"Commit", "Commit", func(t *testing.T, b blob.Bucket) (string, error) {
		s, err := as[blob.Stager](t, b).Stage(t.Context())
		if err != nil {
			return "", err
		}
		if _, err := io.WriteString(s, "12345"); err != nil {
			return "", err
		}
		attrs, err := s.Commit("new", blob.PutOptions{})
		return attrs.Key, errors.Join(err, s.Close())
	}, "new", `Commit "new" 5 bytes`, func(e *everything) bool { return has(e, "new") }},
}

func has(e *everything, key string) bool {
	_, err := e.Head(context.Background(), key)
	return err == nil
}

func bodyOf(obj *blob.Object, err error) (string, error) {
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(obj.Body)
	return string(data), errors.Join(err, obj.Body.Close())
}

func keysOf[T any](seq iter.Seq2[T, error], key func(T) string) (keys string, last error) {
	for item, err := range seq {
		if last = err; err == nil {
			keys += key(item) + " "
		}
	}
	return keys, last
}

// describe returns a call as text.
func describe(c *blob.Call) string {
	s := fmt.Sprintf("%s %q", c.Op, c.Key)
	if c.Get.Offset > 0 {
		s += fmt.Sprintf(" from %d", c.Get.Offset)
	}
	if c.Ref {
		s += " ref"
	}
	if c.Size > 0 {
		s += fmt.Sprintf(" %d bytes", c.Size)
	}
	if c.Put.ContentType != "" {
		s += " " + c.Put.ContentType
	}
	if len(c.Keys) > 0 {
		s += fmt.Sprint(" ", c.Keys)
	}
	if c.SourceKey != "" {
		s += fmt.Sprintf(" of %q", c.SourceKey)
	}
	return s
}

func TestIntercept(t *testing.T) {
	refused := errors.New("refused")
	for _, tt := range operations {
		t.Run(tt.name, func(t *testing.T) {
			t.Run("passes", func(t *testing.T) {
				e := newEverything(t)
				var seen []string
				got, err := tt.do(t, blob.Intercept(e, func(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
					seen = append(seen, describe(call))
					return do(ctx)
				}))
				require.NoError(t, err)
				assert.Equal(t, tt.want, got)
				assert.Equal(t, tt.call, seen[len(seen)-1])
				if tt.done != nil {
					assert.True(t, tt.done(e), "done")
				}
			})
			t.Run("is refused", func(t *testing.T) {
				e := newEverything(t)
				got, err := tt.do(t, blob.Intercept(e, func(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
					if call.Op != tt.op {
						return do(ctx)
					}
					return refused
				}))
				require.ErrorIs(t, err, refused)
				assert.Empty(t, got)
				if tt.done != nil {
					assert.False(t, tt.done(e), "done")
				}
			})
			t.Run("fails afterwards", func(t *testing.T) {
				e := newEverything(t)
				_, err := tt.do(t, blob.Intercept(e, func(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
					if err := do(ctx); err != nil || call.Op != tt.op {
						return err
					}
					return refused
				}))
				require.ErrorIs(t, err, refused)
				if tt.done != nil {
					assert.True(t, tt.done(e), "done")
				}
				if tt.op == "Stage" {
					assert.True(t, e.staged.closed, "closed")
				}
			})
			t.Run("behind another", func(t *testing.T) {
				var order []string
				as := func(name string) blob.Around {
					return func(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
						if call.Op == tt.op {
							order = append(order, name)
						}
						return do(ctx)
					}
				}
				_, err := tt.do(t, blob.Intercept(blob.Intercept(newEverything(t), as("inner")), as("outer")))
				require.NoError(t, err)
				assert.Equal(t, []string{"outer", "inner"}, order)
			})
		})
	}
}

// TestInterceptListing: Each sees every item first and can end the listing. A
// caller that stops gets no error.
func TestInterceptListing(t *testing.T) {
	enough := errors.New("enough")
	for _, op := range []string{"List", "Uploads"} {
		list := func(b blob.Bucket) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				if op == "List" {
					for a, err := range b.List(t.Context(), blob.ListOptions{}) {
						if !yield(a.Key, err) {
							return
						}
					}
					return
				}
				for u, err := range as[blob.UploadCleaner](t, b).Uploads(t.Context(), "") {
					if !yield(u.Key, err) {
						return
					}
				}
			}
		}
		var seen []string
		fail := ""
		var ended error
		b := blob.Intercept(newEverything(t), func(ctx context.Context, call *blob.Call, do func(context.Context) error) error {
			call.Each = func(key string) error {
				if seen = append(seen, key); key == fail {
					return enough
				}
				return nil
			}
			ended = do(ctx)
			return ended
		})
		for range list(b) {
			break
		}
		assert.Len(t, seen, 1, op)
		require.NoError(t, ended, op)

		fail = map[string]string{"List": "b", "Uploads": "2"}[op]
		keys, err := keysOf(list(b), func(key string) string { return key })
		require.ErrorIs(t, err, enough, op)
		assert.Len(t, strings.Fields(keys), 1, op)
	}
}

// TestInterceptLacks: an intercepted bucket has no interfaces that the bucket
// behind lacks.
func TestInterceptLacks(t *testing.T) {
	b := blob.Intercept(plain{memblob.New()}, func(ctx context.Context, _ *blob.Call, do func(context.Context) error) error { return do(ctx) })
	_, ok := blob.As[blob.Copier](b)
	assert.False(t, ok)
	_, ok = blob.As[blob.Stager](b)
	assert.False(t, ok)
	_, ok = blob.As[blob.UploadCleaner](b)
	assert.False(t, ok)
	_, ok = blob.As[blob.Referrer](b)
	assert.False(t, ok)
}

func TestInterceptConformance(t *testing.T) {
	pass := func(ctx context.Context, _ *blob.Call, do func(context.Context) error) error { return do(ctx) }
	storetest.TestBucket(t, func(t *testing.T) blob.Bucket {
		b, err := fileblob.Open(t.TempDir(), fileblob.Options{NoSync: true})
		require.NoError(t, err)
		return blob.Intercept(b, pass)
	}, storetest.Features{NoContentType: true, NoContentEncoding: true, NoChecksum: true, NoKey: func(key string) bool { return strings.HasPrefix(key, "odd/") }})
}
