package resume

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
)

const content = "0123456789"

// answer is what a server sends for one request.
type answer struct {
	attrs  blob.Attrs
	offset int64
	length int64 // -1 where it is not told
	body   string
	broken bool // ends with a reset, not with its end
	err    error
}

var errReset = errors.New("connection reset")

// read reads content[from:] of a server with the answers, in their order.
func read(t *testing.T, opts blob.GetOptions, answers ...answer) (string, []blob.GetOptions, error) {
	t.Helper()
	var asked []blob.GetOptions
	obj, err := Open(t.Context(), opts, Config{
		Retry: blob.Retry{Attempts: 3, Delay: 1, MaxDelay: 1}.WithDefaults(),
		Fetch: func(_ context.Context, opts blob.GetOptions) (*blob.Object, error) {
			asked = append(asked, opts)
			if len(asked) > len(answers) {
				return nil, errors.New("no more answers")
			}
			a := answers[len(asked)-1]
			if a.err != nil {
				return nil, a.err
			}
			var body io.Reader = strings.NewReader(a.body)
			if a.broken {
				body = io.MultiReader(body, iotest.ErrReader(errReset))
			}
			return &blob.Object{Attrs: a.attrs, Offset: a.offset, Length: a.length, Body: io.NopCloser(body)}, nil
		},
		Fail:     func(err error) error { return err },
		Resuming: func(int64, error) {},
	})
	if err != nil {
		return "", asked, err
	}
	defer obj.Body.Close()
	got, err := io.ReadAll(obj.Body)
	return string(got), asked, err
}

func TestResume(t *testing.T) {
	at := time.Unix(1, 0)
	strong, other := blob.Attrs{Size: 10, ETag: `"a"`}, blob.Attrs{Size: 10, ETag: `"b"`}
	weak, dated, none := blob.Attrs{Size: 10, ETag: `W/"a"`}, blob.Attrs{Size: 10, ModTime: at}, blob.Attrs{Size: 10}
	later := blob.Attrs{Size: 10, ModTime: at.Add(time.Second)}
	unknown := blob.Attrs{Size: -1, ETag: `"a"`}
	first := func(a blob.Attrs) answer { return answer{attrs: a, length: 10, body: "0123", broken: true} }
	rest := func(a blob.Attrs) answer { return answer{attrs: a, offset: 4, length: 6, body: "456789"} }
	again := func(a blob.Attrs) answer { return answer{attrs: a, length: 10, body: content} }
	chunked := answer{attrs: unknown, length: -1, body: "0123", broken: true}
	plain, verified := blob.GetOptions{}, blob.GetOptions{Verified: true}
	for _, tt := range []struct {
		name    string
		opts    blob.GetOptions
		answers []answer
		want    string // of the error; empty is content whole
		is      error
	}{
		{"strong ETag", plain, []answer{first(strong), rest(strong)}, "", nil},
		{"a date", plain, []answer{first(dated), rest(dated)}, "", nil},
		{"weak ETag", plain, []answer{first(weak), rest(weak)}, "connection reset", io.ErrUnexpectedEOF},
		{"weak ETag, verified", verified, []answer{first(weak), rest(weak)}, "", nil},
		{"weak that was strong, verified", verified, []answer{first(strong), rest(weak)}, "", nil},
		{"weak that was strong", plain, []answer{first(strong), rest(weak)}, "no longer says", nil},
		{"nothing", plain, []answer{first(none), rest(none)}, "connection reset", io.ErrUnexpectedEOF},
		{"nothing, verified", verified, []answer{first(none), rest(none)}, "", nil},
		{"nothing any more", plain, []answer{first(strong), rest(none)}, "no longer says", nil},
		{"nothing any more, verified", verified, []answer{first(strong), rest(none)}, "", nil},
		{"the whole again", plain, []answer{first(strong), again(strong)}, "", nil},
		{"the whole again of nothing, verified", verified, []answer{first(none), again(none)}, "", nil},
		{"the whole again, broken while it is skipped", plain, []answer{first(strong), {attrs: strong, length: 10, body: "01", broken: true}, again(strong)}, "", nil},
		{"twice", plain, []answer{first(strong), {attrs: strong, offset: 4, length: 6, body: "45", broken: true}, {attrs: strong, offset: 6, length: 4, body: "6789"}}, "", nil},
		{"too often", plain, []answer{first(strong), {attrs: strong, offset: 4, length: 6, broken: true}, {attrs: strong, offset: 4, length: 6, broken: true}, rest(strong)}, "connection reset", io.ErrUnexpectedEOF},
		{"short", plain, []answer{{attrs: strong, length: 10, body: "0123"}, rest(strong)}, "", nil},
		{"a later part", verified, []answer{first(none), {attrs: none, offset: 5, length: 5, body: "56789"}}, "another part", nil},
		{"a shorter part", verified, []answer{first(none), {attrs: none, offset: 4, length: 3, body: "456"}}, "another part", nil},
		{"another ETag", plain, []answer{first(strong), rest(other)}, "changed", blob.ErrPrecondition},
		{"another ETag, verified", verified, []answer{first(strong), rest(other)}, "changed", blob.ErrPrecondition},
		{"another ETag of the whole", plain, []answer{first(strong), again(other)}, "changed", blob.ErrPrecondition},
		{"another date", verified, []answer{first(dated), rest(later)}, "changed", blob.ErrPrecondition},
		{"another size", verified, []answer{first(none), {attrs: blob.Attrs{Size: 11}, offset: 4, length: 6, body: "456789"}}, "changed", blob.ErrPrecondition},
		{"a condition that does not hold", plain, []answer{first(strong), {err: blob.ErrPrecondition}}, "changed", blob.ErrPrecondition},
		{"gone", plain, []answer{first(strong), {err: blob.ErrNotFound}}, "not found", blob.ErrNotFound},
		{"no server any more", plain, []answer{first(strong), {err: &blob.Error{Err: errReset}}}, "connection reset", io.ErrUnexpectedEOF},
		{"no size", plain, []answer{chunked, {attrs: strong, offset: 4, length: 6, body: "456789"}}, "", nil},
		{"no size twice", plain, []answer{chunked, {attrs: unknown, length: -1, body: content}}, "", nil},
		{"no size, broken at its end", plain, []answer{{attrs: unknown, length: -1, body: content, broken: true}, {attrs: strong, offset: 10, length: 0}}, "", nil},
		{"a checksum that is wrong", plain, []answer{{attrs: strong, length: 10, err: blob.ErrChecksum}}, "checksum", blob.ErrChecksum},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, asked, err := read(t, tt.opts, tt.answers...)
			for _, o := range asked[1:] {
				assert.Equal(t, isStrong(tt.answers[0].attrs.ETag), o.IfMatch != "")
			}
			if tt.want == "" {
				require.NoError(t, err)
				require.Equal(t, content, got)
				return
			}
			require.ErrorContains(t, err, tt.want)
			if tt.is != nil {
				require.ErrorIs(t, err, tt.is)
			}
			if tt.want != "changed" {
				require.NotContains(t, err.Error(), "changed")
			}
			require.True(t, strings.HasPrefix(content, got), "%q", got)
		})
	}
}

func TestCancelled(t *testing.T) {
	gaveUp := errors.New("the test gave up")
	ctx, cancel := context.WithCancelCause(t.Context())
	obj, err := Open(ctx, blob.GetOptions{Verified: true}, Config{
		Retry: blob.Retry{Delay: time.Hour}.WithDefaults(),
		Fetch: func(context.Context, blob.GetOptions) (*blob.Object, error) {
			return &blob.Object{Attrs: blob.Attrs{Size: 10}, Length: 10, Body: io.NopCloser(iotest.ErrReader(errReset))}, nil
		},
		Fail:     func(err error) error { return err },
		Resuming: func(int64, error) { cancel(gaveUp) },
	})
	require.NoError(t, err)
	_, err = io.ReadAll(obj.Body)
	require.ErrorIs(t, err, gaveUp)
}
