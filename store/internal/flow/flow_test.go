package flow_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/internal/flow"
)

func copyOf(r io.Reader) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.Copy(w, r)
		return err
	}
}

func discard(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

func TestSpreadGivesAllToEach(t *testing.T) {
	for _, size := range []int{0, 1, flow.ChunkSize - 1, flow.ChunkSize, 5*flow.ChunkSize + 7} {
		text := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		for name, produce := range map[string]func(io.Writer) error{
			"ReadFrom": copyOf(bytes.NewReader(text)),
			"Write":    copyOf(iotest.HalfReader(bytes.NewReader(text))),
			"bytes":    func(w io.Writer) error { _, err := w.Write(text); return err },
		} {
			if name == "ReadFrom" {
				produce = copyOf(struct{ io.Reader }{bytes.NewReader(text)})
			}
			var got [3]bytes.Buffer
			consumers := make([]func(io.Reader) error, len(got))
			for i := range got {
				consumers[i] = func(r io.Reader) error {
					_, err := io.Copy(&got[i], struct{ io.Reader }{r})
					return err
				}
			}
			require.NoError(t, flow.Spread(t.Context(), produce, consumers...), name)
			for i := range got {
				require.True(t, bytes.Equal(text, got[i].Bytes()), "%s, reader %d", name, i)
			}
		}
	}
}

// TestSpreadEnds ends a stream from every side.
func TestSpreadEnds(t *testing.T) {
	cause := errors.New("cause")
	endless := struct{ io.Reader }{iotest.HalfReader(zeros{})}
	early := func(io.Reader) error { return nil }
	for _, tt := range []struct {
		name     string
		produce  func(io.Writer) error
		consume  func(io.Reader) error
		want     error
		wantCall bool
	}{
		{name: "the source fails", produce: copyOf(iotest.ErrReader(cause)), consume: discard, want: cause},
		{name: "a reader fails", produce: copyOf(endless), consume: func(io.Reader) error { return cause }, want: cause},
		{name: "a reader leaves", produce: copyOf(strings.NewReader("x")), consume: early},
		{name: "the source makes no progress", produce: copyOf(struct{ io.Reader }{nothing{}}), consume: discard, want: io.ErrNoProgress},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.ErrorIs(t, flow.Spread(t.Context(), tt.produce, discard, tt.consume), tt.want)
		})
	}
	t.Run("the context ends", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		err := flow.Spread(ctx, func(w io.Writer) error {
			cancel(cause)
			// A source that is slow is asked no more than once.
			_, err := w.(io.ReaderFrom).ReadFrom(struct{ io.Reader }{iotest.OneByteReader(zeros{})})
			return err
		}, discard)
		require.ErrorIs(t, err, cause)
	})
	t.Run("the source panics", func(t *testing.T) {
		var ended atomic.Int32
		count := func(r io.Reader) error {
			defer ended.Add(1)
			return discard(r)
		}
		require.Panics(t, func() {
			_ = flow.Spread(t.Context(), func(io.Writer) error { panic("source") }, count, count)
		})
		require.EqualValues(t, 2, ended.Load())
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

func TestFanEndsReadersOneByOne(t *testing.T) {
	f := flow.NewFan(2)
	_, err := f.Write([]byte("text"))
	require.NoError(t, err)
	require.NoError(t, f.End(0))
	got, err := io.ReadAll(f.Reader(0))
	require.NoError(t, err)
	require.Equal(t, "text", string(got))
	p := make([]byte, 4)
	_, err = io.ReadFull(f.Reader(1), p)
	require.NoError(t, err)
	require.NoError(t, f.End(1))
	_, err = f.Reader(1).Read(p)
	require.Equal(t, io.EOF, err)
	f.Reader(1).Leave()
	_, err = f.Reader(1).Read(p)
	require.ErrorIs(t, err, flow.ErrReaderLeft)
}

func TestMap(t *testing.T) {
	bad := errors.New("bad")
	var running, most atomic.Int64
	double := func(_ context.Context, n int) (int, error) {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		if n == 3 {
			return 0, bad
		}
		return 2 * n, nil
	}
	collect := func(seq iter.Seq2[int, error]) (sum int, errs []error) {
		for n, err := range seq {
			sum += n
			if err != nil {
				errs = append(errs, err)
			}
		}
		return sum, errs
	}
	sum, errs := collect(flow.Map(t.Context(), 2, flow.Values([]int{1, 2, 3, 4}), double))
	require.Equal(t, 14, sum)
	require.Equal(t, []error{bad}, errs)
	require.LessOrEqual(t, most.Load(), int64(2))

	sum, errs = collect(flow.Map(t.Context(), 2, func(yield func(int, error) bool) { _ = yield(1, nil) && yield(0, bad) }, double))
	require.Equal(t, 2, sum)
	require.Equal(t, []error{bad}, errs)

	for range flow.Map(t.Context(), 2, flow.Values(make([]int, 100)), double) {
		break
	}
	require.Zero(t, running.Load(), "no call goes on after the sequence")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(bad)
	_, errs = collect(flow.Map(ctx, 1, flow.Values(make([]int, 100)), double))
	require.ErrorIs(t, errors.Join(errs...), bad)
}

func TestCounts(t *testing.T) {
	var n atomic.Int64
	_, err := io.Copy(io.Discard, flow.CountReader(strings.NewReader("12345"), &n)) // by WriteTo
	require.NoError(t, err)
	_, err = io.Copy(flow.CountWriter(io.Discard, &n), flow.CountReader(struct{ io.Reader }{strings.NewReader("123")}, &n))
	require.NoError(t, err)
	require.EqualValues(t, 11, n.Load())
}
