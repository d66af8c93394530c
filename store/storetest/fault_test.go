package storetest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/fileblob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/storetest"
)

// Without faults a FaultBucket keeps the contract.
func TestFaultBucketConformance(t *testing.T) {
	t.Run("of memory", func(t *testing.T) {
		storetest.TestBucket(t, func(t *testing.T) blob.Bucket {
			return storetest.NewFaultBucket(memblob.New(), nil)
		}, storetest.Features{ListPage: 50})
	})
	t.Run("of a directory", func(t *testing.T) {
		storetest.TestBucket(t, func(t *testing.T) blob.Bucket {
			b, err := fileblob.Open(t.TempDir(), fileblob.Options{NoSync: true})
			require.NoError(t, err)
			return storetest.NewFaultBucket(b, nil)
		}, storetest.Features{NoContentType: true, NoContentEncoding: true, NoChecksum: true, ListPage: 50})
	})
}

func TestFaultBucketGet(t *testing.T) {
	content := []byte("0123456789")
	errReset := errors.New("connection reset")
	for _, tt := range []struct {
		name     string
		fault    storetest.Fault
		wantOpen error
		want     string
		wantRead error
	}{
		{"none", storetest.Fault{}, nil, "0123456789", nil},
		{"error", storetest.Fault{Kind: "error"}, storetest.ErrInjected, "", nil},
		{"chosen error", storetest.Fault{Kind: "error", Err: blob.ErrThrottled}, blob.ErrThrottled, "", nil},
		{"lost", storetest.Fault{Kind: "lost"}, storetest.ErrInjected, "", nil},
		{"reset", storetest.Fault{Kind: "reset", Err: errReset, After: 4}, nil, "0123", errReset},
		{"reset at the end", storetest.Fault{Kind: "reset", After: 100}, nil, "0123456789", storetest.ErrInjected},
		{"truncated", storetest.Fault{Kind: "truncate", After: 4}, nil, "0123", io.ErrUnexpectedEOF},
		{"lie", storetest.Fault{Kind: "lie", After: 4}, nil, "0123", nil},
		{"corrupt", storetest.Fault{Kind: "corrupt", After: 4}, nil, "0123556789", nil},
		{"slow", storetest.Fault{Delay: time.Millisecond}, nil, "0123456789", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inner := memblob.New()
			_, err := inner.Put(t.Context(), "key", bytes.NewReader(content), blob.PutOptions{})
			require.NoError(t, err)
			b := storetest.NewFaultBucket(inner, storetest.FailAt(0, tt.fault))
			obj, err := b.Get(t.Context(), "key", blob.GetOptions{})
			require.ErrorIs(t, err, tt.wantOpen)
			if err != nil {
				return
			}
			got, err := io.ReadAll(obj.Body)
			assert.Equal(t, tt.want, string(got))
			assert.ErrorIs(t, err, tt.wantRead)
		})
	}
}

func TestFaultBucketWrites(t *testing.T) {
	for _, tt := range []struct {
		kind       string
		wantErr    error
		wantStored bool
	}{
		{"", nil, true},
		{"error", storetest.ErrInjected, false},
		{"reset", storetest.ErrInjected, false},
		{"lost", storetest.ErrInjected, true},
	} {
		inner := memblob.New()
		b := storetest.NewFaultBucket(inner, storetest.FailAt(0, storetest.Fault{Kind: tt.kind}))
		_, err := b.Put(t.Context(), "key", bytes.NewReader([]byte("x")), blob.PutOptions{})
		assert.ErrorIs(t, err, tt.wantErr)
		_, err = inner.Head(t.Context(), "key")
		assert.Equal(t, tt.wantStored, err == nil, "stored")

		_, err = inner.Put(t.Context(), "key", bytes.NewReader([]byte("x")), blob.PutOptions{})
		require.NoError(t, err)
		b = storetest.NewFaultBucket(inner, storetest.FailAt(0, storetest.Fault{Kind: tt.kind}))
		assert.ErrorIs(t, b.Delete(t.Context(), "key"), tt.wantErr)
		_, err = inner.Head(t.Context(), "key")
		assert.Equal(t, !tt.wantStored, err == nil, "not deleted")
	}
}

func TestFaultBucketList(t *testing.T) {
	inner := memblob.New()
	for _, key := range []string{"a", "b", "c"} {
		_, err := inner.Put(t.Context(), key, bytes.NewReader(nil), blob.PutOptions{})
		require.NoError(t, err)
	}
	b := storetest.NewFaultBucket(inner, storetest.FailAt(0, storetest.Fault{Kind: "reset", After: 2}))
	var keys []string
	var last error
	for attrs, err := range b.List(t.Context(), blob.ListOptions{}) {
		last = err
		keys = append(keys, attrs.Key)
	}
	assert.Equal(t, []string{"a", "b", ""}, keys)
	assert.ErrorIs(t, last, storetest.ErrInjected)
}

func TestFaultBucketHang(t *testing.T) {
	cause := errors.New("gave up")
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, cause)
	defer cancel()
	b := storetest.NewFaultBucket(memblob.New(), storetest.FailFrom(0, storetest.Fault{Kind: "hang"}))
	_, err := b.Head(ctx, "key")
	assert.ErrorIs(t, err, cause)
	assert.NotErrorIs(t, err, blob.ErrNotFound)
}

func TestFaultBucketLog(t *testing.T) {
	b := storetest.NewFaultBucket(memblob.New(), storetest.FailAt(1, storetest.Fault{Kind: "error"}))
	_, err := b.Put(t.Context(), "key", bytes.NewReader([]byte("xyz")), blob.PutOptions{ContentType: "text/plain"})
	require.NoError(t, err)
	_, err = b.Head(t.Context(), "key")
	require.Error(t, err)
	require.NoError(t, b.Delete(t.Context(), "key", "other"))

	log := b.Log()
	require.Len(t, log, 3)
	assert.Equal(t, "Put", log[0].Op)
	assert.EqualValues(t, 3, log[0].Size)
	assert.Equal(t, "text/plain", log[0].Put.ContentType)
	assert.NoError(t, log[0].Err)
	assert.ErrorIs(t, log[1].Err, storetest.ErrInjected)
	assert.Equal(t, []string{"key", "other"}, log[2].Keys)
	assert.Equal(t, 3, b.Count())
	assert.Equal(t, 2, b.Count("Put", "Delete"))
	b.ResetLog()
	assert.Zero(t, b.Count())
}

func TestFaultBucketRefusesUnknownKinds(t *testing.T) {
	b := storetest.NewFaultBucket(memblob.New(), storetest.FailAt(0, storetest.Fault{Kind: "truncat"}))
	assert.Panics(t, func() { b.Head(t.Context(), "key") })
}
