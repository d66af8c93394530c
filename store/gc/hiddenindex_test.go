package gc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/storetest"
)

// hashPartOf makes a hash part of a number.
func hashPartOf(n int) string {
	h := nixhash.New(nixhash.SHA256)
	fmt.Fprint(h, n)
	return nixhash.EncodeNix32(h.Digest().Digest()[:20])
}

// putJournal stores a journal with parts of two paths each.
func putJournal(t *testing.T, c *collector, run string, bases ...string) {
	t.Helper()
	c.run = run
	x := index{Run: run}
	slices.Sort(bases)
	for part := range slices.Chunk(bases, 2) {
		var entries []entry
		for _, base := range part {
			entries = append(entries, entry{Key: layout.NarInfoKey(base)})
		}
		require.NoError(t, c.putPart(t.Context(), len(x.Parts), entries))
		x.Parts = append(x.Parts, indexPart{entries[0].Key, entries[len(entries)-1].Key, len(entries)})
	}
	data, err := json.Marshal(&x)
	require.NoError(t, err)
	_, err = c.b.Put(t.Context(), runPrefix+run+indexName, bytes.NewReader(data), controlType)
	require.NoError(t, err)
}

// TestHiddenIndex answers from memory, one listing for each time to live, and
// learns of runs that come and go.
func TestHiddenIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fault := storetest.NewFaultBucket(memblob.New(), nil)
		cache, err := store.New(fault, store.Settings{})
		require.NoError(t, err)
		c := newCollector(cache, Options{})
		x := NewHiddenIndex(cache, 10*time.Second)
		has := func(n int) bool {
			got, err := x.MayHave(t.Context(), hashPartOf(n))
			require.NoError(t, err)
			return got
		}
		assert.False(t, has(1))
		putJournal(t, c, "a", hashPartOf(1), hashPartOf(2), hashPartOf(3))
		assert.False(t, has(1), "not listed again yet")
		time.Sleep(10 * time.Second)
		assert.True(t, has(1))
		fault.ResetLog()
		for n := range 1000 {
			assert.Equal(t, n >= 1 && n <= 3, has(n))
		}
		got, err := x.MayHave(t.Context(), "no hash part")
		require.NoError(t, err)
		assert.False(t, got)
		assert.Empty(t, fault.Log(), "all from memory")

		putJournal(t, c, "b", hashPartOf(4))
		time.Sleep(10 * time.Second)
		fault.ResetLog()
		assert.True(t, has(4))
		assert.True(t, has(3))
		assert.Len(t, fault.Log(), 3, "a listing, and the new journal: %v", fault.Log())

		require.NoError(t, fault.Delete(t.Context(), runPrefix+"a"+indexName))
		time.Sleep(10 * time.Second)
		assert.False(t, has(3))
		assert.True(t, has(4))

		time.Sleep(10 * time.Second)
		fault.SetPlan(storetest.FailFrom(0, storetest.Fault{Kind: "error"}))
		_, err = x.MayHave(t.Context(), hashPartOf(4))
		require.Error(t, err)
		fault.SetPlan(nil)
		assert.True(t, has(4))
	})
}

// TestHiddenIndexBound keeps ranges of what is more than its limit.
func TestHiddenIndexBound(t *testing.T) {
	cache, err := store.New(memblob.New(), store.Settings{})
	require.NoError(t, err)
	x := NewHiddenIndex(cache, time.Hour)
	putJournal(t, newCollector(cache, Options{}), "a", hashPartOf(1), hashPartOf(2), hashPartOf(3))
	r, err := x.readRun(t.Context(), "a", 2)
	require.NoError(t, err)
	assert.Len(t, r.paths, 2)
	assert.Len(t, r.rest, 1)
	x.runs, x.read = map[string]*hiddenRun{"a": r}, time.Now()
	for n := range 100 {
		got, err := x.MayHave(context.Background(), hashPartOf(n))
		require.NoError(t, err)
		assert.Equal(t, n >= 1 && n <= 3, got, n)
	}
}
