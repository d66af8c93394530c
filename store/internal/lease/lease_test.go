package lease

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
)

const hashPart = "p4pclmv1gyja5kzc26npqpia1qqxrf0l"

var silent = slog.New(slog.DiscardHandler)

func putState(t *testing.T, b blob.Bucket, s State) {
	t.Helper()
	if s.TTL == 0 {
		s.TTL = int64(LockTTL / time.Second)
	}
	data, err := json.Marshal(s)
	require.NoError(t, err)
	_, err = b.Put(t.Context(), StateKey, bytes.NewReader(data), blob.PutOptions{})
	require.NoError(t, err)
}

func leases(t *testing.T, b blob.Bucket) []Held {
	t.Helper()
	held, err := List(t.Context(), b)
	require.NoError(t, err)
	return held
}

func TestNoLeaseWithoutCollection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memblob.New()
		s, err := NewWriters(b, silent).Begin(t.Context(), []string{hashPart}, nil)
		require.NoError(t, err)
		assert.Empty(t, leases(t, b))
		assert.NoError(t, s.Check(t.Context()))
		assert.NoError(t, s.Rely(t.Context(), nil, []string{"nar/a"}))
		assert.True(t, s.Covers("nar/b"))
		s.End(t.Context(), nil)
	})
}

// A session that began before the cache came under collection takes a lease
// when it notices, unless a sweep has begun.
func TestEnrolled(t *testing.T) {
	for _, tt := range []struct {
		name    string
		state   State
		wantErr error
	}{
		{"no sweep yet", State{Phase: Idle}, nil},
		{"marking", State{Phase: Marking}, nil},
		{"swept", State{Phase: Idle, Sweeps: 1}, ErrCollected},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := memblob.New()
				s, err := NewWriters(b, silent).Begin(t.Context(), []string{hashPart}, nil)
				require.NoError(t, err)
				require.NoError(t, s.Rely(t.Context(), nil, []string{"nar/a"}))
				putState(t, b, tt.state)
				assert.NoError(t, s.Check(t.Context()), "nothing is asked for a while")
				time.Sleep(recheck)
				assert.ErrorIs(t, s.Check(t.Context()), tt.wantErr)
				held := leases(t, b)
				require.Len(t, held, 1)
				assert.Equal(t, []string{hashPart}, held[0].Paths)
				assert.Equal(t, []string{"nar/a"}, held[0].Archives)
				assert.Equal(t, tt.wantErr == nil, s.Covers("nar/a") && s.Check(t.Context()) == nil)
				s.End(t.Context(), nil)
				assert.Empty(t, leases(t, b))
			})
		})
	}
}

func TestWaitsForSweep(t *testing.T) {
	for _, tt := range []struct {
		name  string
		state State
		until time.Duration // when the sweep ends by itself
		want  time.Duration // when Begin returns at the latest
	}{
		{"idle", State{Phase: Idle}, time.Hour, 0},
		{"marking", State{Phase: Marking}, time.Hour, 0},
		{"a sweep that ends", State{Phase: Sweeping}, time.Minute, time.Minute + lastPause},
		{"a sweep that was abandoned", State{Phase: Sweeping}, 5 * time.Hour, LockTTL + lastPause},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := memblob.New()
				putState(t, b, tt.state)
				end := time.AfterFunc(tt.until, func() { putState(t, b, State{Phase: Idle, Sweeps: 1}) })
				defer end.Stop()
				begun := time.Now()
				s, err := NewWriters(b, silent).Begin(t.Context(), []string{hashPart}, nil)
				require.NoError(t, err)
				took := time.Since(begun)
				assert.LessOrEqual(t, took, tt.want)
				if tt.state.Phase == Sweeping {
					assert.GreaterOrEqual(t, took, min(tt.until, LockTTL))
				}
				assert.NoError(t, s.Check(t.Context()))
				s.End(t.Context(), nil)
			})
		})
	}
}

// The lease is renewed for as long as the session lasts, and tells when the
// session began.
func TestRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memblob.New()
		putState(t, b, State{Phase: Idle})
		begun := time.Now()
		s, err := NewWriters(b, silent).Begin(t.Context(), []string{hashPart}, nil)
		require.NoError(t, err)
		for range 10 {
			time.Sleep(TTL / 2)
			require.NoError(t, s.Check(t.Context()))
			held := leases(t, b)
			require.Len(t, held, 1)
			assert.False(t, held[0].Expired(held[0].ModTime, time.Now()))
			assert.True(t, held[0].Start.Equal(begun), "%v", held[0].Start.Sub(begun))
		}
		s.End(t.Context(), nil)
	})
}

// deaf is a bucket that no longer takes leases.
type deaf struct {
	blob.Bucket
	deaf atomic.Bool
}

func (d *deaf) Put(ctx context.Context, key string, c blob.Content, o blob.PutOptions) (blob.Attrs, error) {
	if d.deaf.Load() {
		return blob.Attrs{}, &blob.Error{Op: "Put", Key: key, Err: blob.ErrThrottled}
	}
	return d.Bucket.Put(ctx, key, c, o)
}

// Without renewal the session ends before its lease does.
func TestNotRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &deaf{Bucket: memblob.New()}
		putState(t, b, State{Phase: Idle})
		s, err := NewWriters(b, silent).Begin(t.Context(), []string{hashPart}, nil)
		require.NoError(t, err)
		b.deaf.Store(true)
		time.Sleep(Stop - time.Minute)
		require.NoError(t, s.Check(t.Context()))
		time.Sleep(time.Minute)
		assert.ErrorIs(t, s.Check(t.Context()), ErrExpired)
		b.deaf.Store(false)
		time.Sleep(TTL)
		assert.ErrorIs(t, s.Check(t.Context()), ErrExpired, "an expired session stays so")
		assert.ErrorIs(t, s.Rely(t.Context(), nil, []string{"nar/new"}), ErrExpired)
		s.End(t.Context(), ErrExpired)
		held := leases(t, b)
		require.Len(t, held, 1)
		assert.True(t, held[0].Expired(held[0].ModTime, time.Now()))
	})
}

func TestRely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memblob.New()
		putState(t, b, State{Phase: Idle})
		s, err := NewWriters(b, silent).Begin(t.Context(), []string{hashPart}, []string{"nar/known"})
		require.NoError(t, err)
		assert.True(t, s.Covers("nar/known"))
		assert.False(t, s.Covers("nar/found"))

		putState(t, b, State{Phase: Sweeping})
		relied := make(chan error, 3)
		for _, key := range []string{"nar/found", "nar/found", "nar/other"} {
			go func() { relied <- s.Rely(t.Context(), nil, []string{key}) }()
		}
		synctest.Wait()
		assert.Empty(t, relied, "nobody relies on what a sweep may take")
		assert.False(t, s.Covers("nar/found"))
		assert.Greater(t, len(leases(t, b)[0].Archives), 1, "they are announced already")
		putState(t, b, State{Phase: Idle, Sweeps: 1})
		for range 3 {
			require.NoError(t, <-relied)
		}
		assert.True(t, s.Covers("nar/found"))
		assert.ElementsMatch(t, []string{"nar/known", "nar/found", "nar/other"}, leases(t, b)[0].Archives)
		s.End(t.Context(), nil)
	})
}

// Requests of a writer that failed may still arrive, so its lease stays.
func TestEndAfterFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memblob.New()
		putState(t, b, State{Phase: Idle})
		s, err := NewWriters(b, silent).Begin(t.Context(), []string{hashPart}, nil)
		require.NoError(t, err)
		s.End(t.Context(), context.Canceled)
		assert.Len(t, leases(t, b), 1)
	})
}

func TestManyNamesLeaseAll(t *testing.T) {
	var n names
	n.add([]string{hashPart}, []string{"nar/a"})
	assert.False(t, n.lease().All)
	archives := make([]string, maxNames)
	for i := range archives {
		archives[i] = "nar/" + strings.Repeat("x", i%100) + string(rune('a'+i%26)) + time.Duration(i).String()
	}
	n.add(nil, archives)
	l := n.lease()
	assert.True(t, l.All)
	assert.Empty(t, l.Paths)
}

func TestBegunInBadState(t *testing.T) {
	b := memblob.New()
	for _, text := range []string{"", "{", `{"phase":"dancing"}`, `{"phase":"idle","ttl":-1}`, `{"phase":"idle","ttl":99999999999}`} {
		_, err := b.Put(t.Context(), StateKey, strings.NewReader(text), blob.PutOptions{})
		require.NoError(t, err)
		_, err = NewWriters(b, silent).Begin(t.Context(), nil, nil)
		assert.ErrorContains(t, err, "state of the collector", text)
	}
}

func TestBadLease(t *testing.T) {
	b := memblob.New()
	for _, text := range []string{"", "{", `{"paths":["x"]}`, `{"ttl":99999999999}`} {
		_, err := b.Put(t.Context(), Prefix+"x", strings.NewReader(text), blob.PutOptions{})
		require.NoError(t, err)
		_, err = List(t.Context(), b)
		assert.ErrorContains(t, err, Prefix+"x", text)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"paths":["` + hashPart + `"],"ttl":3600}`))
	f.Add([]byte(`{"phase":"sweeping","ttl":3600}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if l, err := Parse(data); err == nil {
			again, err := json.Marshal(l)
			require.NoError(t, err)
			_, err = Parse(again)
			require.NoError(t, err)
		}
		if s, err := ParseState(data); err == nil {
			_ = s.Locked(time.Time{}, time.Now())
		}
	})
}
