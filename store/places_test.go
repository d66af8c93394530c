package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/storetest"
)

// uncompressed is a cache as a Source that has no compressed archives.
type uncompressed struct{ store.Source }

// TestNoWayOfUseWaitsForever runs every pair of ways to use two caches against
// each other, with as little room as a budget allows and archives that need more
// of it than there is.
func TestNoWayOfUseWaitsForever(t *testing.T) {
	objects := independent(t, 6, 300_000)
	tiny := store.Budget{Memory: 1 << 20, Transfers: 1, Requests: 1}
	all := paths(objects)
	add := func(ctx context.Context, from, to *store.Cache, opts store.AddOptions) error {
		for _, p := range all {
			info, err := from.NarInfo(ctx, p)
			if err != nil {
				return err
			}
			open := from.OpenNAR
			if opts.Encoded != nil {
				open, opts.Encoded = from.OpenCompressed, info
			}
			r, err := open(ctx, info)
			if err != nil {
				return err
			}
			_, err = to.Add(ctx, &info.PathInfo, r, opts)
			if err := errors.Join(err, r.Close()); err != nil {
				return err
			}
		}
		return nil
	}
	ways := map[string]func(ctx context.Context, from, to *store.Cache) error{
		"copy": func(ctx context.Context, from, to *store.Cache) error {
			_, err := store.Copy(ctx, to, from, all, store.CopyOptions{Repair: true})
			return err
		},
		"copy of NARs": func(ctx context.Context, from, to *store.Cache) error {
			_, err := store.Copy(ctx, to, uncompressed{from}, all, store.CopyOptions{Repair: true})
			return err
		},
		"add": func(ctx context.Context, from, to *store.Cache) error {
			return add(ctx, from, to, store.AddOptions{Repair: true})
		},
		"add encoded": func(ctx context.Context, from, to *store.Cache) error {
			return add(ctx, from, to, store.AddOptions{Repair: true, Encoded: &narinfo.NarInfo{}})
		},
		"read": func(ctx context.Context, from, to *store.Cache) error {
			for _, p := range all {
				if err := readContext(ctx, from, p); err != nil {
					return err
				}
			}
			return nil
		},
		"list and open": func(ctx context.Context, from, to *store.Cache) error {
			for _, p := range all {
				a, err := to.FS(ctx, p)
				if err != nil {
					return err
				}
				if err := a.Close(); err != nil {
					return err
				}
				if _, err := from.Listing(ctx, p); err != nil {
					return err
				}
			}
			return nil
		},
		"sign": func(ctx context.Context, from, to *store.Cache) error {
			for _, p := range all {
				if _, err := to.AddSignatures(ctx, p); err != nil {
					return err
				}
			}
			return nil
		},
	}
	for one, first := range ways {
		for other, second := range ways {
			if one > other {
				continue
			}
			t.Run(one+" and "+other, func(t *testing.T) {
				ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Minute, errors.New("watchdog"))
				defer cancel()
				a, _ := fill(t, objects, store.Settings{Budget: tiny, Compression: "gzip"})
				b, _ := fill(t, objects, store.Settings{Budget: tiny, Compression: "zstd"})
				var wg sync.WaitGroup
				errs := make(chan error, 8)
				for range 2 {
					wg.Go(func() { errs <- first(ctx, a, b) })
					wg.Go(func() { errs <- second(ctx, b, a) })
				}
				wg.Wait()
				close(errs)
				for err := range errs {
					if ctx.Err() != nil {
						buf := make([]byte, 1<<16)
						t.Fatalf("%v\n%s", err, buf[:runtime.Stack(buf, true)])
					}
					require.NoError(t, err)
				}
			})
		}
	}
}

func readContext(ctx context.Context, c *store.Cache, p storepath.Path) error {
	r, err := c.NAR(ctx, p)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}

func TestBudgetsBelowTheirParts(t *testing.T) {
	for _, tt := range []struct {
		budget store.Budget
		ok     bool
	}{
		{store.Budget{}, true},
		{store.Budget{Memory: 1 << 20, Transfers: 1, Requests: 1, Stall: 1}, true},
		{store.Budget{Memory: 1}, false},
		{store.Budget{Memory: 31}, false},
		{store.Budget{Memory: 1<<20 - 1}, false},
		{store.Budget{Memory: -1}, false},
		{store.Budget{Transfers: -1}, false},
		{store.Budget{Requests: -1}, false},
		{store.Budget{Stall: -1}, false},
	} {
		_, err := store.New(memblob.New(), store.Settings{Budget: tt.budget})
		require.Equal(t, tt.ok, err == nil, "%+v: %v", tt.budget, err)
	}
}

// stuck is a source that delivers some bytes and then nothing.
type stuck struct {
	begin   io.Reader
	release chan struct{}
	err     error
}

func (s *stuck) Read(p []byte) (int, error) {
	if n, err := s.begin.Read(p); err == nil {
		return n, nil
	}
	<-s.release
	return 0, s.err
}

// interruptible is a stuck source that another goroutine can end.
type interruptible struct{ *stuck }

func (s interruptible) Interrupt(err error) {
	s.err = err
	close(s.release)
}

// A source that delivers nothing more gives its place back, and the path that it
// was adding, whether or not its Read returns.
func TestStalledSources(t *testing.T) {
	for _, encoded := range []bool{false, true} {
		for _, returns := range []bool{false, true} {
			t.Run(fmt.Sprintf("encoded %v, interruptible %v", encoded, returns), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					o := newObject(t, 1, bytes.Repeat([]byte("text"), 100_000))
					b := memblob.New()
					// Not compressed: encoders, which are pooled, must not come out of the bubble.
					c := newCache(t, b, store.Settings{Compression: "none", Budget: store.Budget{Transfers: 1, Stall: time.Minute}})
					s := &stuck{begin: bytes.NewReader(o.archive[:1000]), release: make(chan struct{}), err: io.ErrUnexpectedEOF}
					var archive io.Reader = s
					if returns {
						archive = interruptible{s}
					}
					var opts store.AddOptions
					if encoded {
						opts.Encoded = &narinfo.NarInfo{Compression: "none"}
					}
					first := make(chan error, 1)
					go func() {
						_, err := c.Add(t.Context(), o.info, archive, opts)
						first <- err
					}()
					synctest.Wait()
					add(t, c, o, store.AddOptions{}) // has the place after the stall time
					if !returns {
						close(s.release)
					}
					require.ErrorIs(t, <-first, blob.ErrStalled)
					require.Equal(t, 1, requireSound(t, b).Paths)
				})
			})
		}
	}
}

// hanging is a source whose archives wait for the end of their context.
type hanging struct{ *liar }

func (h hanging) NAR(ctx context.Context, _ storepath.Path) (io.ReadCloser, error) {
	return io.NopCloser(readerFunc(func([]byte) (int, error) {
		<-ctx.Done()
		return 0, context.Cause(ctx)
	})), nil
}

func TestCopyEndsAStalledSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newObject(t, 1, []byte("x"))
		dst := newCache(t, memblob.New(), store.Settings{Compression: "none"})
		begin := time.Now()
		_, err := store.Copy(t.Context(), dst, hanging{&liar{info: o.info}}, paths([]object{o}), store.CopyOptions{})
		require.ErrorIs(t, err, blob.ErrStalled)
		require.Equal(t, 5*time.Minute, time.Since(begin))
	})
}

// A panic of the caller's reader leaves no goroutine and no place behind.
func TestReadersThatPanic(t *testing.T) {
	o := newObject(t, 1, bytes.Repeat([]byte("text"), 100_000))
	file := encode(t, "zstd", o.archive)
	for name, opts := range map[string]store.AddOptions{
		"plain":   {},
		"encoded": {Encoded: &narinfo.NarInfo{Compression: "zstd", FileSize: int64(len(file))}},
	} {
		for _, compression := range []narinfo.Compression{"", "gzip"} {
			t.Run(name+" "+string(compression), func(t *testing.T) {
				storetest.NoLeaks(t)
				b := memblob.New()
				c := newCache(t, b, store.Settings{Compression: compression, Budget: store.Budget{Transfers: 1}})
				for range 3 {
					require.PanicsWithValue(t, "reader", func() {
						_, _ = c.Add(t.Context(), o.info, io.MultiReader(bytes.NewReader(file[:10]), readerFunc(func([]byte) (int, error) { panic("reader") })), opts)
					})
				}
				add(t, c, o, store.AddOptions{})
				requireSound(t, b)
			})
		}
	}
}
