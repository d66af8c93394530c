package otelblob_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/fileblob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/otelblob"
	"example.com/nixs3/store/storetest"
)

func watch(t testing.TB, behind blob.Bucket) (blob.Wrapper, *recorder) {
	t.Helper()
	r := &recorder{}
	b, err := otelblob.New(behind, otelblob.Options{TracerProvider: tracerProvider{r: r}, MeterProvider: meterProvider{r: r}})
	require.NoError(t, err)
	return b, r
}

func TestConformance(t *testing.T) {
	t.Run("of what copies", func(t *testing.T) {
		storetest.TestBucket(t, func(t *testing.T) blob.Bucket {
			b, r := watch(t, memblob.New())
			t.Cleanup(func() { assert.Zero(t, r.open(), "every span ends") })
			return b
		}, storetest.Features{})
	})
	t.Run("of what stages", func(t *testing.T) {
		storetest.TestBucket(t, func(t *testing.T) blob.Bucket {
			behind, err := fileblob.Open(t.TempDir(), fileblob.Options{NoSync: true})
			require.NoError(t, err)
			b, _ := watch(t, behind)
			return b
		}, storetest.Features{NoContentType: true, NoContentEncoding: true, NoChecksum: true, NoKey: func(key string) bool { return strings.HasPrefix(key, "odd/") }})
	})
}

// odd is a bucket that fails as configured and has the optional interfaces that
// no driver here has together.
type odd struct {
	blob.Bucket
	err error
}

func (o odd) Head(context.Context, string) (blob.Attrs, error) {
	return blob.Attrs{}, &blob.Error{Op: "Head", Key: "secret key", Err: o.err}
}

func (o odd) Get(context.Context, string, blob.GetOptions) (*blob.Object, error) {
	return &blob.Object{Body: io.NopCloser(io.MultiReader(strings.NewReader("begin"), failing{o.err}))}, nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func (o odd) GetRef(ctx context.Context, ref string, opts blob.GetOptions) (*blob.Object, error) {
	return o.Bucket.Get(ctx, strings.TrimPrefix(ref, "./"), opts)
}

func (o odd) Uploads(context.Context, string) iter.Seq2[blob.Upload, error] {
	return func(yield func(blob.Upload, error) bool) {
		_ = yield(blob.Upload{Key: "nar/a"}, nil) && yield(blob.Upload{}, o.err)
	}
}

func (o odd) AbortUpload(context.Context, blob.Upload) error { return o.err }

func read(t *testing.T, obj *blob.Object) string {
	t.Helper()
	data, err := io.ReadAll(obj.Body)
	require.NoError(t, err)
	require.NoError(t, obj.Body.Close())
	require.NoError(t, obj.Body.Close(), "twice")
	return string(data)
}

func TestOperations(t *testing.T) {
	broken := errors.New("broken")
	fill := func(t *testing.T, b blob.Bucket) {
		for _, key := range []string{"nar/a.nar", "nar/b.nar", "p4pclmv1gyja5kzc26npqpia1qqxrf0l.narinfo"} {
			_, err := b.Put(t.Context(), key, strings.NewReader("12345"), blob.PutOptions{})
			require.NoError(t, err)
		}
	}
	for _, tt := range []struct {
		name  string
		do    func(t *testing.T, b blob.Wrapper)
		span  string
		attrs map[string]string // besides operation and bucket
		read  float64
		write float64
	}{
		{name: "get", do: func(t *testing.T, b blob.Wrapper) {
			obj, err := b.Get(t.Context(), "nar/a.nar", blob.GetOptions{Offset: 1})
			require.NoError(t, err)
			assert.Equal(t, "2345", read(t, obj))
		}, span: "blob.Get", attrs: map[string]string{"nixs3.blob.class": "nar", "nixs3.blob.bytes": "4"}, read: 4},
		{name: "get of what is not there", do: func(t *testing.T, b blob.Wrapper) {
			_, err := b.Get(t.Context(), "log/p4pclmv1gyja5kzc26npqpia1qqxrf0l-x.drv", blob.GetOptions{})
			require.ErrorIs(t, err, blob.ErrNotFound)
		}, span: "blob.Get", attrs: map[string]string{"nixs3.blob.class": "log", "error.type": "not_found"}},
		{name: "head", do: func(t *testing.T, b blob.Wrapper) {
			_, err := b.Head(t.Context(), "p4pclmv1gyja5kzc26npqpia1qqxrf0l.narinfo")
			require.NoError(t, err)
		}, span: "blob.Head", attrs: map[string]string{"nixs3.blob.class": "narinfo"}},
		{name: "put", do: func(t *testing.T, b blob.Wrapper) {
			_, err := b.Put(t.Context(), "p4pclmv1gyja5kzc26npqpia1qqxrf0l.ls", strings.NewReader("{}"), blob.PutOptions{})
			require.NoError(t, err)
		}, span: "blob.Put", attrs: map[string]string{"nixs3.blob.class": "listing", "nixs3.blob.bytes": "2"}, write: 2},
		{name: "put that must not be", do: func(t *testing.T, b blob.Wrapper) {
			_, err := b.Put(t.Context(), "p4pclmv1gyja5kzc26npqpia1qqxrf0l.narinfo", strings.NewReader("{}"), blob.PutOptions{IfNoneMatch: true})
			require.ErrorIs(t, err, blob.ErrPrecondition)
		}, span: "blob.Put", attrs: map[string]string{"nixs3.blob.class": "narinfo", "error.type": "precondition"}},
		{name: "delete", do: func(t *testing.T, b blob.Wrapper) {
			require.NoError(t, b.Delete(t.Context(), "nar/a.nar", "nar/b.nar"))
		}, span: "blob.Delete", attrs: map[string]string{"nixs3.blob.class": "nar"}},
		{name: "delete of several kinds", do: func(t *testing.T, b blob.Wrapper) {
			require.NoError(t, b.Delete(t.Context(), "nar/a.nar", "p4pclmv1gyja5kzc26npqpia1qqxrf0l.narinfo"))
		}, span: "blob.Delete", attrs: map[string]string{"nixs3.blob.class": "mixed"}},
		{name: "list", do: func(t *testing.T, b blob.Wrapper) {
			for _, err := range b.List(t.Context(), blob.ListOptions{}) {
				require.NoError(t, err)
			}
		}, span: "blob.List", attrs: map[string]string{"nixs3.blob.class": "all", "nixs3.blob.objects": "3"}},
		{name: "list until enough", do: func(t *testing.T, b blob.Wrapper) {
			for range b.List(t.Context(), blob.ListOptions{Prefix: "nar/"}) {
				break
			}
		}, span: "blob.List", attrs: map[string]string{"nixs3.blob.class": "nar", "nixs3.blob.objects": "1"}},
		{name: "copy", do: func(t *testing.T, b blob.Wrapper) {
			c, ok := blob.As[blob.Copier](b)
			require.True(t, ok)
			_, err := c.CopyFrom(t.Context(), "nar/c.nar", b, "nar/a.nar", blob.PutOptions{})
			require.NoError(t, err, "from one watched bucket to another")
		}, span: "blob.Copy", attrs: map[string]string{"nixs3.blob.class": "nar"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			behind := memblob.New()
			fill(t, behind)
			b, r := watch(t, behind)
			tt.do(t, b)
			checkOperation(t, r, b, tt.span, tt.attrs, tt.read, tt.write, false)
		})
	}

	for _, tt := range []struct {
		name  string
		err   error
		do    func(t *testing.T, b blob.Wrapper, err error)
		span  string
		attrs map[string]string
		read  float64
	}{
		{name: "head that fails", err: blob.ErrThrottled, do: func(t *testing.T, b blob.Wrapper, want error) {
			_, err := b.Head(t.Context(), "p4pclmv1gyja5kzc26npqpia1qqxrf0l.narinfo")
			require.ErrorIs(t, err, want)
		}, span: "blob.Head", attrs: map[string]string{"nixs3.blob.class": "narinfo", "error.type": "throttled"}},
		{name: "body that fails", err: io.ErrUnexpectedEOF, do: func(t *testing.T, b blob.Wrapper, want error) {
			obj, err := b.Get(t.Context(), "nar/x", blob.GetOptions{})
			require.NoError(t, err)
			_, err = io.ReadAll(obj.Body)
			require.ErrorIs(t, err, want)
			require.NoError(t, obj.Body.Close())
		}, span: "blob.Get", attrs: map[string]string{"nixs3.blob.class": "nar", "error.type": "truncated", "nixs3.blob.bytes": "5"}, read: 5},
		{name: "uploads", err: broken, do: func(t *testing.T, b blob.Wrapper, want error) {
			u, ok := blob.As[blob.UploadCleaner](b)
			require.True(t, ok)
			var last error
			for _, err := range u.Uploads(t.Context(), "nar/") {
				last = err
			}
			require.ErrorIs(t, last, want)
		}, span: "blob.Uploads", attrs: map[string]string{"nixs3.blob.class": "nar", "nixs3.blob.objects": "1", "error.type": "_OTHER"}},
		{name: "abort", err: blob.ErrAccessDenied, do: func(t *testing.T, b blob.Wrapper, want error) {
			u, ok := blob.As[blob.UploadCleaner](b)
			require.True(t, ok)
			require.ErrorIs(t, u.AbortUpload(t.Context(), blob.Upload{Key: "nar/a"}), want)
		}, span: "blob.Abort", attrs: map[string]string{"nixs3.blob.class": "nar", "error.type": "access_denied"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, r := watch(t, odd{memblob.New(), tt.err})
			tt.do(t, b, tt.err)
			checkOperation(t, r, b, tt.span, tt.attrs, tt.read, 0, true)
		})
	}
	t.Run("reference", func(t *testing.T) {
		behind := memblob.New()
		fill(t, behind)
		b, r := watch(t, odd{Bucket: behind})
		ref, ok := blob.As[blob.Referrer](b)
		require.True(t, ok)
		obj, err := ref.GetRef(t.Context(), "./nar/a.nar", blob.GetOptions{})
		require.NoError(t, err)
		assert.Equal(t, "12345", read(t, obj))
		checkOperation(t, r, b, "blob.Get", map[string]string{"nixs3.blob.class": "other", "nixs3.blob.bytes": "5"}, 5, 0, false)
	})
}

// checkOperation checks the one operation that was reported.
func checkOperation(t *testing.T, r *recorder, b blob.Bucket, name string, attrs map[string]string, read, write float64, failed bool) {
	t.Helper()
	want := map[string]string{"nixs3.blob.operation": strings.TrimPrefix(name, "blob."), "nixs3.blob.bucket": b.String()}
	for k, v := range attrs {
		want[k] = v
	}
	spans := r.spans()
	require.Len(t, spans, 1)
	assert.Zero(t, r.open())
	assert.Equal(t, name, spans[0].name)
	assert.Equal(t, trace.SpanKindClient, spans[0].kind)
	assert.Equal(t, want, spans[0].attrs)
	if failed {
		assert.Equal(t, codes.Error, spans[0].status)
		assert.Equal(t, attrs["error.type"], spans[0].text, "a class, not a text that may hold the key")
	} else {
		assert.Equal(t, codes.Unset, spans[0].status)
	}

	// Only spans have what cannot be aggregated.
	delete(want, "nixs3.blob.bytes")
	delete(want, "nixs3.blob.objects")
	durations := r.values("nixs3.blob.duration")
	require.Len(t, durations, 1)
	assert.Equal(t, want, durations[0].attrs)
	assert.Positive(t, durations[0].value)
	moved := map[string]float64{}
	for _, m := range r.values("nixs3.blob.io") {
		moved[m.attrs["nixs3.blob.direction"]] += m.value
		assert.Equal(t, attrs["nixs3.blob.class"], m.attrs["nixs3.blob.class"])
		assert.NotContains(t, m.attrs, "error.type")
	}
	assert.Equal(t, read, moved["read"])
	assert.Equal(t, write, moved["write"])
}

func TestStage(t *testing.T) {
	open := func(t *testing.T) (blob.Wrapper, *recorder, blob.Staged) {
		behind, err := fileblob.Open(t.TempDir(), fileblob.Options{NoSync: true})
		require.NoError(t, err)
		b, r := watch(t, behind)
		s, ok := blob.As[blob.Stager](b)
		require.True(t, ok)
		staged, err := s.Stage(t.Context())
		require.NoError(t, err)
		_, err = io.WriteString(staged, "123456")
		require.NoError(t, err)
		assert.Equal(t, 1, r.open())
		return b, r, staged
	}
	t.Run("committed", func(t *testing.T) {
		b, r, staged := open(t)
		_, err := staged.Commit("nar/x", blob.PutOptions{})
		require.NoError(t, err)
		require.NoError(t, staged.Close())
		checkOperation(t, r, b, "blob.Stage", map[string]string{"nixs3.blob.class": "nar", "nixs3.blob.bytes": "6"}, 0, 6, false)
	})
	t.Run("discarded", func(t *testing.T) {
		b, r, staged := open(t)
		require.NoError(t, staged.Close())
		require.NoError(t, staged.Close())
		checkOperation(t, r, b, "blob.Stage", map[string]string{"nixs3.blob.class": "other"}, 0, 0, false)
	})
}

func TestCancellationIsNamed(t *testing.T) {
	cause := errors.New("no longer wanted")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	b, r := watch(t, memblob.New())
	_, err := b.Head(ctx, "a")
	require.ErrorIs(t, err, cause)
	assert.Equal(t, "canceled", r.spans()[0].attrs["error.type"])
}

// TestOptionalInterfaces: a watched bucket has exactly the optional interfaces
// of the wrapped bucket.
func TestOptionalInterfaces(t *testing.T) {
	onDisk, err := fileblob.Open(t.TempDir(), fileblob.Options{NoSync: true})
	require.NoError(t, err)
	for name, behind := range map[string]blob.Bucket{"memory": memblob.New(), "disk": onDisk, "odd": odd{Bucket: memblob.New()}} {
		t.Run(name, func(t *testing.T) {
			b, _ := watch(t, behind)
			same[blob.Copier](t, behind, b)
			same[blob.Stager](t, behind, b)
			same[blob.UploadCleaner](t, behind, b)
			same[blob.Referrer](t, behind, b)
			same[blob.Presigner](t, behind, b)
			assert.Equal(t, behind, b.Unwrap())
			assert.Equal(t, behind.String(), b.String())
		})
	}
}

func same[T any](t *testing.T, behind blob.Bucket, b blob.Bucket) {
	t.Helper()
	_, want := behind.(T)
	_, got := blob.As[T](b)
	assert.Equal(t, want, got, "%T", *new(T))
}

func TestNewWithoutInstruments(t *testing.T) {
	refused := errors.New("refused")
	_, err := otelblob.New(memblob.New(), otelblob.Options{MeterProvider: meterProvider{r: &recorder{refuse: refused}}})
	require.ErrorIs(t, err, refused)
}

// TestCache uses a watched bucket in a cache.
func TestCache(t *testing.T) {
	b, r := watch(t, memblob.New())
	cache, err := store.New(b, store.Settings{})
	require.NoError(t, err)
	defer cache.Close()
	_, err = store.AddPath(t.Context(), cache, "otelblob_test.go", store.AddPathOptions{})
	require.NoError(t, err)
	classes := map[string]bool{}
	for _, s := range r.spans() {
		classes[s.attrs["nixs3.blob.operation"]+" "+s.attrs["nixs3.blob.class"]] = true
	}
	for _, want := range []string{"Put nar", "Put narinfo", "Put cache-info"} {
		assert.Contains(t, classes, want)
	}
}

// BenchmarkHead measures the cost of watching with the default global providers,
// which drop everything.
func BenchmarkHead(b *testing.B) {
	behind := memblob.New()
	_, err := behind.Put(b.Context(), "p4pclmv1gyja5kzc26npqpia1qqxrf0l.narinfo", strings.NewReader("x"), blob.PutOptions{})
	require.NoError(b, err)
	watched, err := otelblob.New(behind, otelblob.Options{})
	require.NoError(b, err)
	for name, bucket := range map[string]blob.Bucket{"bare": behind, "watched": watched} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bucket.Head(b.Context(), "p4pclmv1gyja5kzc26npqpia1qqxrf0l.narinfo"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func Example() {
	// Without options it uses the providers that the program has set.
	watched, err := otelblob.New(memblob.New(), otelblob.Options{})
	if err != nil {
		panic(err)
	}
	cache, err := store.New(watched, store.Settings{})
	if err != nil {
		panic(err)
	}
	defer cache.Close()
}
