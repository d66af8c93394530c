package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/storetest/fakes3"
)

// TestGCObjects reads inventories from S3 and writes manifests to it.
func TestGCObjects(t *testing.T) {
	at := fakeURL(t, fakes3.Options{})
	got := nixs3(t, "", "copy", "--from", testCache(t), "--to", at, "--all")
	require.Equal(t, exitOK, got.exit, got.stderr)
	cache, err := store.Open(t.Context(), strings.Replace(at, "/team", "", 1))
	require.NoError(t, err)
	defer cache.Close()
	put := func(key string, data []byte) {
		t.Helper()
		_, err := cache.Bucket().Put(t.Context(), key, bytes.NewReader(data), blob.PutOptions{})
		require.NoError(t, err)
	}
	// Under collection for long, so that no run waits for writers.
	put("team/nixs3/collect/state", []byte(`{"phase":"idle","ttl":1800,"since":"2000-01-01T00:00:00Z","nonce":"x"}`))
	got = nixs3(t, "", "root", "set", "--store", at, "web", hello)
	require.Equal(t, exitOK, got.exit, got.stderr)

	// The inventory does not know that one of the archives is new.
	var archives []string
	for attrs, err := range cache.Bucket().List(t.Context(), blob.ListOptions{Prefix: "team/nar/"}) {
		require.NoError(t, err)
		archives = append(archives, attrs.Key)
	}
	require.Len(t, archives, 3)
	type row struct {
		Key          string    `parquet:"key"`
		Size         int64     `parquet:"size,optional"`
		LastModified time.Time `parquet:"last_modified_date,optional,timestamp(millisecond)"`
	}
	old := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	rows := []row{{"elsewhere/nar/x", 1, old}}
	lines := ""
	for _, key := range archives {
		rows = append(rows, row{key, 7, old})
		lines += fmt.Sprintf("\"cache\",\"%s\",\"7\",\"1999-01-01T00:00:00.000Z\",\"etag\"\n", url.QueryEscape(key))
	}
	var asParquet, asCSV bytes.Buffer
	require.NoError(t, parquet.Write(&asParquet, rows))
	zip := gzip.NewWriter(&asCSV)
	_, err = zip.Write([]byte(lines))
	require.NoError(t, err)
	require.NoError(t, zip.Close())
	put("inventory/data/1.parquet", asParquet.Bytes())
	put("inventory/data/1.csv.gz", asCSV.Bytes())
	put("inventory/parquet/manifest.json", []byte(`{"sourceBucket":"cache","fileFormat":"Parquet","fileSchema":"message s3.inventory {}","files":[{"key":"inventory/data/1.parquet"}]}`))
	put("inventory/csv/manifest.json", []byte(`{"sourceBucket":"cache","fileFormat":"CSV","fileSchema":"Bucket, Key, Size, LastModifiedDate, ETag","files":[{"key":"inventory/data/1.csv.gz"}]}`))
	put("inventory/other/manifest.json", []byte(`{"sourceBucket":"other","fileFormat":"CSV","fileSchema":"Key, Size, LastModifiedDate, ETag","files":[]}`))
	object := func(key string) string { return strings.Replace(at, "/team", "/"+key, 1) }

	file := filepath.Join(t.TempDir(), "manifest.csv")
	collect := []string{"gc", "--store", at, "--recent", "0", "--grace", "0"}
	for _, format := range []string{"parquet", "csv"} {
		for _, manifest := range []string{file, object("batch/manifest.csv")} {
			got = nixs3(t, "", append(collect, "--inventory", object("inventory/"+format+"/manifest.json"), "--manifest", manifest)...)
			require.Equal(t, exitOK, got.exit, got.stderr)
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		named := strings.Split(strings.TrimSpace(string(text)), "\n")
		assert.Len(t, named, 2)
		for _, line := range named {
			assert.Contains(t, archives, strings.TrimPrefix(line, "cache,"))
		}
		stored, _, err := blob.ReadAll(t.Context(), cache.Bucket(), "batch/manifest.csv", 1<<20)
		require.NoError(t, err)
		assert.ElementsMatch(t, named, strings.Split(strings.TrimSpace(string(stored)), "\n"))
	}
	check(t, []command{
		{"a manifest in no object", []string{"gc", "--store", at, "--manifest", "s3://cache"}, "", "", "expected an s3:// URL with a key", exitFailed},
		{"an inventory of another bucket", append(collect, "--inventory", object("inventory/other/manifest.json")), "", "", `expected an inventory of the bucket cache, got one of "other"`, exitFailed},
		{"no inventory", append(collect, "--inventory", object("nothing.json")), "", "", "not found", exitFailed},
	})
	got = nixs3(t, "", append(collect, "--inventory", object("inventory/parquet/manifest.json"))...)
	require.Equal(t, exitOK, got.exit, got.stderr)
	var left []string
	for attrs, err := range cache.Bucket().List(t.Context(), blob.ListOptions{Prefix: "team/nar/"}) {
		require.NoError(t, err)
		left = append(left, attrs.Key)
	}
	assert.Len(t, left, 1)
}

func TestEscapeKey(t *testing.T) {
	for key, expected := range map[string]string{
		"nar/a.nar.xz": "nar/a.nar.xz", "a b": "a%20b", "a+b": "a%2Bb", "ü,\"": "%C3%BC%2C%22", "a%b": "a%25b",
	} {
		assert.Equal(t, expected, escapeKey(key))
	}
}
