package gc_test

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/gc"
)

func TestInventory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache, b := newCache(t)
		add(t, cache, "a", "b")
		other := memblob.New()
		put := func(key string, body []byte) {
			_, err := other.Put(t.Context(), key, bytes.NewReader(body), blob.PutOptions{})
			require.NoError(t, err)
		}
		csv := func(rows ...string) []byte {
			var buf bytes.Buffer
			w := gzip.NewWriter(&buf)
			_, err := w.Write([]byte(strings.Join(rows, "\n") + "\n"))
			require.NoError(t, err)
			require.NoError(t, w.Close())
			return buf.Bytes()
		}
		const row = `,"2026-11-24T01:02:03.000Z","etag"`
		put("manifest.json", []byte(`{"fileFormat":"CSV","fileSchema":"Bucket, Key, Size, LastModifiedDate, ETag","files":[{"key":"data/1.csv.gz"},{"key":"data/2.csv.gz"}]}`))
		var rows []string
		for _, key := range keys(t, b, "nar/") {
			rows = append(rows, `"bucket","cache/`+key+`","120","1999-01-01T00:00:00.000Z","etag"`)
		}
		put("data/1.csv.gz", csv(rows...))
		put("data/2.csv.gz", csv(`"bucket","elsewhere/nar/x","5"`+row))
		inventory, err := gc.OpenInventory(t.Context(), other, "manifest.json", "cache/")
		require.NoError(t, err)
		time.Sleep(2 * day)
		listed := 0
		watched := cacheIn(t, without(b, func(call *blob.Call) error {
			if call.Op == "List" && call.Key == "nar/" {
				listed++
			}
			return nil
		}))
		report, err := gc.Collect(t.Context(), watched, gc.Options{Roots: paths("a"), Grace: none, Inventory: inventory})
		require.NoError(t, err)
		assert.Equal(t, 1, report.Destroyed.Objects)
		assert.Zero(t, listed)
		assert.Equal(t, 1, whole(t, b).Archives)

		for name, body := range map[string][]byte{
			"not compressed": []byte("x"), "too few fields": csv("a,b"), "a bad size": csv(`"b","cache/nar/x","-5"` + row),
			"a bad time": csv(`"b","cache/nar/x","5","now","e"`), "a bad key": csv(`"b","%zz","5"` + row),
			"a row without end": csv(`"` + strings.Repeat("x", 1<<20)),
		} {
			put("data/2.csv.gz", body)
			_, err = gc.Collect(t.Context(), cache, gc.Options{Roots: paths("a"), Grace: none, Inventory: inventory})
			assert.ErrorContains(t, err, "inventory file data/2.csv.gz", name)
			if name == "a row without end" {
				assert.ErrorContains(t, err, "expected rows of at most 65536 bytes")
			}
		}
		for _, manifest := range []string{"", "{}", `{"fileFormat":"ORC"}`, `{"fileFormat":"CSV","fileSchema":"Bucket, Key"}`,
			`{"fileFormat":"CSV","fileSchema":"Key, Size, LastModifiedDate, ETag","files":[{"key":""}]}`} {
			put("manifest.json", []byte(manifest))
			_, err = gc.OpenInventory(t.Context(), other, "manifest.json", "cache/")
			assert.ErrorContains(t, err, "inventory manifest", manifest)
		}
	})
}
