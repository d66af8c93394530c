package fileblob_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/fileblob"
)

// rounds holds the first round of a bucket until it is released.
type rounds struct {
	b       *fileblob.Bucket
	started chan struct{}
	release chan struct{}

	mu    sync.Mutex
	syncs int // of the folder nar
}

func newRounds(t *testing.T) *rounds {
	r := &rounds{b: open(t, t.TempDir(), fileblob.Options{}), started: make(chan struct{}), release: make(chan struct{})}
	t.Cleanup(func() { r.b.Close() })
	var first sync.Once
	r.b.Observe(func(step string, names ...string) {
		if step != "syncfolder" || names[0] != "nar" {
			return
		}
		r.mu.Lock()
		r.syncs++
		r.mu.Unlock()
		first.Do(func() {
			close(r.started)
			<-r.release
		})
	})
	return r
}

func (r *rounds) put(ctx context.Context, name string) error {
	_, err := r.b.Put(ctx, "nar/"+name, strings.NewReader(name), blob.PutOptions{})
	return err
}

// waitFor waits until so many changes wait for the next round.
func (r *rounds) waitFor(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return r.b.Waiting() == n }, time.Minute, time.Millisecond)
}

// TestWritesShareASync: what waits while a round is under way is one round.
func TestWritesShareASync(t *testing.T) {
	r := newRounds(t)
	var writers errgroup.Group
	writers.Go(func() error { return r.put(t.Context(), "first") })
	<-r.started
	for i := range 20 {
		writers.Go(func() error { return r.put(t.Context(), fmt.Sprint(i)) })
	}
	r.waitFor(t, 20)
	close(r.release)
	require.NoError(t, writers.Wait())
	assert.Equal(t, 2, r.syncs)
}

// TestWaitingWriteIsCancelled: a write that waits for a round gives up at once
// and leaves nothing, and the others go on.
func TestWaitingWriteIsCancelled(t *testing.T) {
	r := newRounds(t)
	var writers errgroup.Group
	writers.Go(func() error { return r.put(t.Context(), "first") })
	<-r.started
	gaveUp := errors.New("gave up")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancelled := make(chan error)
	go func() { cancelled <- r.put(ctx, "cancelled") }()
	r.waitFor(t, 1)
	writers.Go(func() error { return r.put(t.Context(), "second") })
	r.waitFor(t, 2)
	cancel(gaveUp)
	require.ErrorIs(t, <-cancelled, gaveUp, "while the first round is held")
	close(r.release)
	require.NoError(t, writers.Wait())
	for name, want := range map[string]error{"first": nil, "second": nil, "cancelled": blob.ErrNotFound} {
		_, err := r.b.Head(t.Context(), "nar/"+name)
		require.ErrorIs(t, err, want, name)
	}
}

// BenchmarkWriters measures what syncing costs, for one writer and for several.
func BenchmarkWriters(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		for name, opts := range map[string]fileblob.Options{"fsync": {}, "fsync=false": {NoSync: true}} {
			b.Run(fmt.Sprintf("writers=%d/%s", writers, name), func(b *testing.B) {
				bucket, err := fileblob.Open(b.TempDir(), opts)
				require.NoError(b, err)
				defer bucket.Close()
				content := strings.Repeat("x", 2000)
				n := 0
				for b.Loop() {
					var group errgroup.Group
					for w := range writers {
						key := fmt.Sprintf("nar/%d-%d", n, w)
						group.Go(func() error {
							_, err := bucket.Put(b.Context(), key, strings.NewReader(content), blob.PutOptions{})
							return err
						})
					}
					require.NoError(b, group.Wait())
					n++
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n*writers), "µs/object")
			})
		}
	}
}
