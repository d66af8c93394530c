package storetest

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
)

// Features names what a driver, or its server, lacks. [TestBucket] skips what
// depends on it. The zero value is a driver that lacks nothing.
type Features struct {
	NoList              bool // List answers errors.ErrUnsupported
	NoConditionalWrites bool // PutOptions.IfMatch and IfNoneMatch have no effect
	NoContentType       bool // Attrs.ContentType is not that of Put
	NoContentEncoding   bool // Attrs.ContentEncoding is not that of Put
	NoChecksum          bool // a wrong PutOptions.SHA256 is not noticed

	// NoKey reports whether a valid key cannot be stored. nil means that all
	// can.
	NoKey func(key string) bool

	// ListPage is the number of objects that one request of List yields, so
	// that the test lists more than a page. 0 means 1,000.
	ListPage int
}

// TestBucket tests that a driver keeps the contract of [blob.Bucket], in subtests
// of t. A driver's own test is
//
//	func TestConformance(t *testing.T) {
//		storetest.TestBucket(t, func(t *testing.T) blob.Bucket { return memblob.New() }, storetest.Features{})
//	}
//
// Every subtest calls open once. It returns a bucket without objects and closes
// everything but the bucket itself in t.Cleanup. No other test may run at the
// same time, since TestBucket counts goroutines.
func TestBucket(t *testing.T, open func(t *testing.T) blob.Bucket, f Features) {
	for _, group := range []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"Keys", testKeys},
		{"Get", testGet},
		{"Head", testHead},
		{"Put", testPut},
		{"Conditions", testConditions},
		{"Delete", testDelete},
		{"List", testList},
		{"Stage", testStage},
		{"Copy", testCopy},
		{"Concurrency", testConcurrency},
		{"Cancel", testCancel},
		{"Errors", testErrors},
	} {
		t.Run(group.name, func(t *testing.T) {
			group.run(t, &suite{features: f, open: open})
		})
	}
}

// suite is the state that the groups of TestBucket share.
type suite struct {
	features Features
	open     func(*testing.T) blob.Bucket
}

// run runs one subtest with its own bucket. After the bucket is closed, no
// goroutine that the subtest started may be left.
func (s *suite) run(t *testing.T, name string, test func(t *testing.T, b blob.Bucket)) {
	t.Run(name, func(t *testing.T) {
		before := goroutines()
		t.Cleanup(func() { // runs after all that open registers
			if !t.Failed() {
				requireNoNewGoroutines(t, before)
			}
		})
		b := s.open(t)
		defer func() { assert.NoError(t, b.Close()) }()
		test(t, b)
	})
}

// storable leaves out the keys that the driver cannot store.
func (s *suite) storable(keys []string) []string {
	if s.features.NoKey == nil {
		return keys
	}
	var kept []string
	for _, key := range keys {
		if !s.features.NoKey(key) {
			kept = append(kept, key)
		}
	}
	return kept
}

// noise returns size pseudo-random bytes, the same ones for the same seed.
func noise(seed uint64, size int) []byte {
	data := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	r.Read(data)
	return data
}

// put stores data under key, or ends the test.
func put(t *testing.T, b blob.Bucket, key string, data []byte, opts blob.PutOptions) blob.Attrs {
	t.Helper()
	attrs, err := b.Put(t.Context(), key, bytes.NewReader(data), opts)
	require.NoError(t, err)
	require.Equal(t, key, attrs.Key)
	require.EqualValues(t, len(data), attrs.Size)
	return attrs
}

// requireObject ends the test unless key holds data.
func requireObject(t *testing.T, b blob.Bucket, key string, data []byte) {
	t.Helper()
	got, attrs, err := blob.ReadAll(t.Context(), b, key, int64(len(data)))
	require.NoError(t, err)
	require.Equal(t, key, attrs.Key)
	require.EqualValues(t, len(data), attrs.Size)
	if !bytes.Equal(data, got) { // without megabytes in the message
		require.Failf(t, "wrong content", "%q holds other bytes than were stored", key)
	}
}

// requireAbsent ends the test if an object has the key.
func requireAbsent(t *testing.T, b blob.Bucket, key string) {
	t.Helper()
	_, err := b.Head(context.WithoutCancel(t.Context()), key)
	require.ErrorIs(t, err, blob.ErrNotFound, "Head %q", key)
}

// list returns the keys that List yields.
func list(t *testing.T, b blob.Bucket, opts blob.ListOptions) []string {
	t.Helper()
	keys := []string{}
	for attrs, err := range b.List(t.Context(), opts) {
		require.NoError(t, err)
		keys = append(keys, attrs.Key)
	}
	return keys
}
