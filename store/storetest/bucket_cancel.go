package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"example.com/nixs3/store/blob"
)

// errGaveUp is the cause of the contexts that these tests cancel.
var errGaveUp = errors.New("the test gave up")

// patience is how long a cancelled operation may take before the test fails.
const patience = 30 * time.Second

func testCancel(t *testing.T, s *suite) {
	s.run(t, "before the call", func(t *testing.T, b blob.Bucket) {
		put(t, b, "object", []byte("x"), blob.PutOptions{})
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errGaveUp)

		_, err := b.Get(ctx, "object", blob.GetOptions{})
		assert.ErrorIs(t, err, errGaveUp, "Get")
		_, err = b.Head(ctx, "object")
		assert.ErrorIs(t, err, errGaveUp, "Head")
		_, err = b.Put(ctx, "other", bytes.NewReader([]byte("x")), blob.PutOptions{})
		assert.ErrorIs(t, err, errGaveUp, "Put")
		assert.ErrorIs(t, b.Delete(ctx, "object"), errGaveUp, "Delete")
		if !s.features.NoList {
			for _, err := range b.List(ctx, blob.ListOptions{}) {
				assert.ErrorIs(t, err, errGaveUp, "List")
			}
		}
		requireAbsent(t, b, "other")
		requireObject(t, b, "object", []byte("x"))
	})

	s.run(t, "while a body is read", func(t *testing.T, b blob.Bucket) {
		// More than the buffers on the way can hold.
		data := noise(1, 24<<20)
		put(t, b, "object", data, blob.PutOptions{})
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		obj, err := b.Get(ctx, "object", blob.GetOptions{})
		require.NoError(t, err)
		defer obj.Body.Close()
		_, err = io.ReadFull(obj.Body, make([]byte, 100))
		require.NoError(t, err)
		cancel(errGaveUp)
		inTime(t, func() {
			_, err = io.Copy(io.Discard, obj.Body)
		})
		require.ErrorIs(t, err, errGaveUp)
	})

	s.run(t, "while content is sent", func(t *testing.T, b blob.Bucket) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		content := &slowContent{size: 64 << 20, begun: func() { cancel(errGaveUp) }}
		var err error
		inTime(t, func() {
			_, err = b.Put(ctx, "object", content, blob.PutOptions{})
		})
		require.ErrorIs(t, err, errGaveUp)
		requireAbsent(t, b, "object")
		if !s.features.NoList {
			require.Empty(t, list(t, b, blob.ListOptions{}))
		}
	})
}

// inTime ends the test if do takes longer than a cancelled operation may.
func inTime(t *testing.T, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		require.FailNow(t, "the operation goes on after it was cancelled")
	}
}

// slowContent is zeros that take a millisecond for 64 KiB. It calls begun after
// a tenth has been read.
type slowContent struct {
	size  int64
	begun func()
	read  atomic.Int64
}

func (c *slowContent) Size() int64 { return c.size }

func (c *slowContent) ReadAt(p []byte, off int64) (int, error) {
	n := int(max(0, min(int64(len(p)), c.size-off)))
	clear(p[:n])
	time.Sleep(time.Duration(n) * time.Millisecond / (64 << 10))
	if c.read.Add(int64(n)) >= c.size/10 {
		c.begun()
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func testConcurrency(t *testing.T, s *suite) {
	s.run(t, "readers see one object or the other", func(t *testing.T, b blob.Bucket) {
		versions := [][]byte{noise(1, 200000), noise(2, 300001), noise(3, 10)}
		put(t, b, "object", versions[0], blob.PutOptions{})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var readers errgroup.Group
		for range 4 {
			readers.Go(func() error {
				for ctx.Err() == nil {
					got, _, err := blob.ReadAll(t.Context(), b, "object", 1<<20)
					if err != nil {
						return err
					}
					if !bytes.Equal(got, versions[0]) && !bytes.Equal(got, versions[1]) && !bytes.Equal(got, versions[2]) {
						return fmt.Errorf("%d bytes that were never stored", len(got))
					}
				}
				return nil
			})
		}
		for i := range 50 {
			put(t, b, "object", versions[i%len(versions)], blob.PutOptions{})
		}
		stop()
		require.NoError(t, readers.Wait())
	})

	s.run(t, "16 workers, each with objects of its own", func(t *testing.T, b blob.Bucket) {
		var workers errgroup.Group
		for w := range 16 {
			workers.Go(func() error {
				for i := range 10 {
					key := fmt.Sprintf("dir%d/object%d", i, w)
					data := noise(uint64(w*100+i), 5000+i)
					if _, err := b.Put(t.Context(), key, bytes.NewReader(data), blob.PutOptions{}); err != nil {
						return err
					}
					got, _, err := blob.ReadAll(t.Context(), b, key, 1<<20)
					if err != nil {
						return err
					}
					if !bytes.Equal(got, data) {
						return fmt.Errorf("%q is not what was stored", key)
					}
					if err := b.Delete(t.Context(), key); err != nil {
						return err
					}
					if _, err := b.Head(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
						return fmt.Errorf("looking for %q after its deletion: %w", key, err)
					}
				}
				return nil
			})
		}
		require.NoError(t, workers.Wait())
		if !s.features.NoList {
			require.Empty(t, list(t, b, blob.ListOptions{}))
		}
	})
}

func testErrors(t *testing.T, s *suite) {
	s.run(t, "what does not exist", func(t *testing.T, b blob.Bucket) {
		put(t, b, "dir/object", []byte("x"), blob.PutOptions{})
		for _, key := range []string{"absent", "dir/absent", "dir", "dir/objec", "dir/object2"} {
			_, err := b.Get(t.Context(), key, blob.GetOptions{})
			assertError(t, err, "Get", key, blob.ErrNotFound)
			_, err = b.Get(t.Context(), key, blob.GetOptions{Offset: 5, Length: 1})
			assertError(t, err, "Get", key, blob.ErrNotFound)
			_, err = b.Head(t.Context(), key)
			assertError(t, err, "Head", key, blob.ErrNotFound)
		}
	})
	s.run(t, "a failed write", func(t *testing.T, b blob.Bucket) {
		_, err := b.Put(t.Context(), "object", brokenContent{size: 100, good: 10, err: errBroken}, blob.PutOptions{})
		assertError(t, err, "Put", "object", errBroken)
	})
	s.run(t, "String", func(t *testing.T, b blob.Bucket) {
		assert.NotEmpty(t, b.String())
	})
}

// assertError checks that err is a *blob.Error for the operation and key that
// wraps the sentinel.
func assertError(t *testing.T, err error, op, key string, sentinel error) {
	t.Helper()
	assert.ErrorIs(t, err, sentinel)
	var e *blob.Error
	if assert.ErrorAs(t, err, &e) {
		assert.Equal(t, op, e.Op)
		assert.Equal(t, key, e.Key)
	}
}
