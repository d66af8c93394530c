package serve_test

import (
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/serve"
	"example.com/nixs3/store/storetest"
)

// TestMissesAreShared asks the bucket once for each absent key, however many
// requests there are, and again after the time to live.
func TestMissesAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fault := storetest.NewFaultBucket(memblob.New(), nil)
		c, err := store.New(fault, store.Settings{})
		require.NoError(t, err)
		s, err := serve.New(c, serve.Options{Limits: serve.Limits{MissTTL: 3 * time.Second}})
		require.NoError(t, err)
		defer s.Close()
		ask := func() {
			var all sync.WaitGroup
			for i := range 1000 {
				all.Go(func() {
					w := httptest.NewRecorder()
					s.ServeHTTP(w, httptest.NewRequest("GET", fmt.Sprintf("/%032d.narinfo", i%100), nil))
					assert.Equal(t, 404, w.Code)
				})
			}
			all.Wait()
		}
		count := func() map[string]int {
			n := map[string]int{}
			for _, op := range fault.Log() {
				if layout.KindOf(op.Key) == layout.NarInfo {
					n[op.Key]++
				}
			}
			return n
		}
		ask()
		ask()
		require.Len(t, count(), 100)
		for key, n := range count() {
			require.Equal(t, 1, n, key)
		}
		time.Sleep(4 * time.Second)
		fault.ResetLog()
		ask()
		require.Len(t, count(), 100)
	})
}

// TestMissesAreBounded forgets the oldest keys.
func TestMissesAreBounded(t *testing.T) {
	fault := storetest.NewFaultBucket(memblob.New(), nil)
	c, err := store.New(fault, store.Settings{})
	require.NoError(t, err)
	s, err := serve.New(c, serve.Options{Limits: serve.Limits{Misses: 10, MissTTL: time.Hour}})
	require.NoError(t, err)
	defer s.Close()
	for _, i := range []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0} {
		s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", fmt.Sprintf("/%032d.narinfo", i), nil))
	}
	n := 0
	for _, op := range fault.Log() {
		if op.Key == fmt.Sprintf("%032d.narinfo", 0) {
			n++
		}
	}
	assert.Equal(t, 2, n)
}
