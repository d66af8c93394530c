package codec

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// copyFormat makes frames of 4 bytes that are what went in, in brackets. It
// counts those that are under way, and takes its time for every other one.
type copyFormat struct {
	now, most, all atomic.Int64
	fail           string // the content of the frame that fails
}

var errFrame = errors.New("cannot compress this")

func (c *copyFormat) encode(dst, src []byte, _ *atomic.Bool) ([]byte, error) {
	now := c.now.Add(1)
	for most := c.most.Load(); now > most && !c.most.CompareAndSwap(most, now); {
		most = c.most.Load()
	}
	if c.all.Add(1)%2 == 0 {
		time.Sleep(time.Millisecond)
	}
	c.now.Add(-1)
	if c.fail != "" && string(src) == c.fail {
		return nil, errFrame
	}
	dst = append(dst, '[')
	dst = append(dst, src...)
	return append(dst, ']'), nil
}

func TestFrames(t *testing.T) {
	tests := []struct{ name, in, out string }{
		{"nothing is one empty frame", "", "[]"},
		{"less than a frame", "abc", "[abc]"},
		{"a frame", "abcd", "[abcd]"},
		{"a frame and a bit", "abcde", "[abcd][e]"},
		{"many", "0123456789abcdefghijklmnopqrstuvwxyz", "[0123][4567][89ab][cdef][ghij][klmn][opqr][stuv][wxyz]"},
	}
	for _, tt := range tests {
		for _, o := range []WriterOptions{{}, {Parallel: true, Workers: 1}, {Parallel: true, Workers: 2}, {Parallel: true, Workers: 5}} {
			t.Run(tt.name, func(t *testing.T) {
				var c copyFormat
				var out bytes.Buffer
				w := newFrameWriter(&out, o, frameFormat{size: 4, encode: c.encode})
				n, err := io.WriteString(w, tt.in)
				require.NoError(t, err)
				require.Equal(t, len(tt.in), n)
				require.NoError(t, w.Close())
				assert.Equal(t, tt.out, out.String())
				assert.LessOrEqual(t, c.most.Load(), int64(max(o.Workers, 1)), "workers at once")
			})
		}
	}
}

func TestFrameFails(t *testing.T) {
	for _, workers := range []int{1, 3} {
		c := copyFormat{fail: "efgh"}
		var out bytes.Buffer
		w := newFrameWriter(&out, WriterOptions{Parallel: true, Workers: workers}, frameFormat{size: 4, encode: c.encode})
		_, err := io.WriteString(w, "abcdefghijkl")
		if err == nil {
			err = w.Close()
		}
		assert.Equal(t, errFrame, err)
		assert.Equal(t, "[abcd]", out.String(), "what came before")
	}
}

// Frames that are not begun when the destination fails never are.
func TestFramesStop(t *testing.T) {
	var begun atomic.Int64
	encode := func(dst, src []byte, stop *atomic.Bool) ([]byte, error) {
		begun.Add(1)
		if string(src) == "0000" {
			return append(dst, src...), nil
		}
		for !stop.Load() {
			time.Sleep(time.Microsecond)
		}
		return nil, errStopped
	}
	r, w := io.Pipe()
	require.NoError(t, r.CloseWithError(errFrame))
	f := newFrameWriter(w, WriterOptions{Parallel: true, Workers: 2}, frameFormat{size: 4, encode: encode})
	_, err := f.Write([]byte("0000" + strings.Repeat("rest", 100)))
	require.Equal(t, errFrame, err)
	assert.LessOrEqual(t, begun.Load(), int64(3), "the one that failed and one for each worker")
}

func TestBuffers(t *testing.T) {
	for _, n := range []int{0, 1, smallBuffer, smallBuffer + 1, largeBuffer, largeBuffer + bufferSlack + 1, 3 * largeBuffer} {
		b := getBuffer(n)
		assert.Empty(t, b)
		assert.GreaterOrEqual(t, cap(b), n)
		putBuffer(b)
	}
	putBuffer(nil)
	putBuffer(make([]byte, 5)) // of someone else
}

func TestFitDict(t *testing.T) {
	tests := []struct{ dict, n, want int }{
		{8 << 20, 0, 4 << 10},
		{8 << 20, 4 << 10, 4 << 10},
		{8 << 20, 4<<10 + 1, 8 << 10},
		{8 << 20, 100_000, 128 << 10},
		{8 << 20, 8 << 20, 8 << 20},
		{1 << 20, 100 << 20, 1 << 20},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, fitDict(tt.dict, tt.n), "%d bytes", tt.n)
	}
}
