package gc_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
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

// An inventory's files must be those of its manifest.
func TestInventoryFiles(t *testing.T) {
	cache, b := newCache(t)
	add(t, cache, "a")
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, err := w.Write([]byte(`"nar/x","1","2026-11-24T01:02:03.000Z","etag"` + "\n"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	digest := md5.Sum(buf.Bytes())
	put := func(key, text string) {
		_, err := b.Put(t.Context(), key, strings.NewReader(text), blob.PutOptions{})
		require.NoError(t, err)
	}
	put("1.csv.gz", buf.String())
	for size, md5s := range map[int]map[string]string{
		buf.Len(): {hex.EncodeToString(digest[:]): "", strings.ToUpper(hex.EncodeToString(digest[:])): "", strings.Repeat("0", 32): "expected the MD5 0"},
		0:         {"": ""}, 1: {"": "expected 1 bytes, got"},
	} {
		for sum, expected := range md5s {
			put("manifest.json", fmt.Sprintf(`{"fileFormat":"CSV","fileSchema":"Key, Size, LastModifiedDate, ETag","files":[{"key":"1.csv.gz","size":%d,"MD5checksum":%q}]}`, size, sum))
			inventory, err := gc.OpenInventory(t.Context(), b, "manifest.json", "")
			require.NoError(t, err)
			_, err = gc.Collect(t.Context(), cache, gc.Options{DryRun: true, Inventory: inventory})
			if expected == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, expected)
			}
		}
	}

	t.Run("a long row", func(t *testing.T) {
		var buf bytes.Buffer
		w := gzip.NewWriter(&buf)
		_, err := w.Write([]byte(`"` + strings.Repeat("x\n", 1<<20)))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		put("1.csv.gz", buf.String())
		put("manifest.json", `{"fileFormat":"CSV","fileSchema":"Key, Size, LastModifiedDate, ETag","files":[{"key":"1.csv.gz"}]}`)
		inventory, err := gc.OpenInventory(t.Context(), b, "manifest.json", "")
		require.NoError(t, err)
		_, err = gc.Collect(t.Context(), cache, gc.Options{DryRun: true, Inventory: inventory})
		assert.ErrorContains(t, err, "expected rows of at most")
	})
}

// A writer that knows nothing of collectors writes an archive anew after the
// inventory was made, and is about to publish a narinfo that refers to it.
func TestInventoryIsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache, b := newCache(t)
		add(t, cache, "a")
		const archive = "nar/again.nar"
		put := func(key, text string) {
			_, err := b.Put(t.Context(), key, strings.NewReader(text), blob.PutOptions{})
			require.NoError(t, err)
		}
		put(archive, "x")
		gc.RegisterInventoryFormat("Test", func(context.Context, io.Reader, string) iter.Seq2[blob.Attrs, error] {
			return func(yield func(blob.Attrs, error) bool) {
				yield(blob.Attrs{Key: archive, Size: 1, ModTime: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)}, nil)
			}
		})
		put("manifest.json", `{"sourceBucket":"cache","fileFormat":"Test","files":[{"key":"manifest.json"}]}`)
		inventory, err := gc.OpenInventory(t.Context(), b, "manifest.json", "")
		require.NoError(t, err)
		assert.Equal(t, "cache", inventory.SourceBucket())
		time.Sleep(2 * day)
		put(archive, "x")
		collect := func() {
			t.Helper()
			_, err = gc.Collect(t.Context(), cache, gc.Options{Roots: paths("a"), Grace: none, Inventory: inventory})
			require.NoError(t, err)
		}
		collect()
		assert.Contains(t, keys(t, b, "nar/"), archive)
		time.Sleep(2 * day)
		collect()
		assert.NotContains(t, keys(t, b, "nar/"), archive)
		collect() // it is still in the inventory
	})
}
