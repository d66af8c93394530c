package store_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/store"
)

// Each form of a file:// URL that Nix takes means the same directory.
func TestFileURLs(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	o := newObject(t, 1, []byte("contents"))
	c := open(t, "file:///"+filepath.ToSlash(strings.TrimPrefix(dir, "/"))+"/c%20c")
	add(t, c, o, store.AddOptions{})
	slashed := "/" + strings.TrimPrefix(filepath.ToSlash(dir), "/")
	for _, rawURL := range []string{
		"file://" + slashed + "/c%20c", "file:" + slashed + "/c%20c", "file:c%20c", "file:./c%20c", "file://" + slashed + "/c%20c/", "file://localhost" + slashed + "/c%20c",
		"FILE:" + slashed + "/c%20c?priority=3",
	} {
		_, err := open(t, rawURL).NarInfo(t.Context(), o.info.Path)
		require.NoError(t, err, rawURL)
	}
}

// Nix warns of such settings on file:// and writes plain objects; since 2.34 it
// reads only some Content-Encodings elsewhere.
func TestCompressionOfSmallObjectsWarns(t *testing.T) {
	for query, want := range map[string]string{
		"narinfo-compression=zstd":                 "narinfo-compression has no effect on a directory",
		"ls-compression=br&write-nar-listing=true": "ls-compression has no effect on a directory",
		"log-compression=xz":                       "log-compression has no effect on a directory",
		"narinfo-compression=none":                 "",
		"compression=xz":                           "",
	} {
		dir := t.TempDir()
		var log bytes.Buffer
		c := open(t, "file:"+filepath.ToSlash(dir)+"?"+query, store.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		o := newObject(t, 1, []byte("contents"))
		add(t, c, o, store.AddOptions{})
		text, err := os.ReadFile(filepath.Join(dir, o.info.Path.HashPart()+".narinfo"))
		require.NoError(t, err)
		require.Contains(t, string(text), "StorePath: ", query)
		if want == "" {
			require.NotContains(t, log.String(), "no effect")
		} else {
			require.Contains(t, log.String(), want)
		}
	}
}

// The password in a URL shows in no error of Open, however malformed it is.
func TestOpenHidesPasswords(t *testing.T) {
	for _, login := range []string{"user:hunter2@", "user:hunter2%@", "user:hunter 2hunter2@", "user:hunter2#@", "user:hunter2/x@", "user:hunter2?x=y@", "user:12/hunter2@"} {
		for _, rawURL := range []string{
			"https://" + login + "127.0.0.1:1/%zz", "s3://" + login + "bucket", "file://" + login + "host/x", "ftp://" + login + "host", login + "host",
			"s3://bucket?endpoint=https://" + login + "127.0.0.1:1", "https://127.0.0.1:1?endpoint=" + login + "x", "mem://x?endpoint=" + login + "x",
		} {
			_, err := store.Open(t.Context(), rawURL)
			if err != nil {
				require.NotContains(t, err.Error(), "hunter2", rawURL)
			}
		}
	}
}

// A directory with archives that are kept has the names of either generation.
func TestKeptArchivesOfBothGenerations(t *testing.T) {
	o := newObject(t, 1, []byte("contents"))
	src, b := fill(t, []object{o}, store.Settings{})
	info, err := src.NarInfo(t.Context(), o.info.Path)
	require.NoError(t, err)
	require.NoError(t, b.Delete(t.Context(), info.URL))
	for _, name := range []string{o.info.Path.HashPart(), o.info.NarHash.Nix32()} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".nar"), o.archive, 0o644))
		fsys, err := newCache(t, b, store.Settings{LocalNARCache: dir}).FS(t.Context(), o.info.Path)
		require.NoError(t, err)
		require.NoError(t, fsys.Close())
	}
}
