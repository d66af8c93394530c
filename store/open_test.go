package store_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
)

// TestOpenSaysWhatIsWrong opens what cannot be opened and wants a sentence that
// helps.
func TestOpenSaysWhatIsWrong(t *testing.T) {
	s3 := storetest.NewS3(t, fakes3.Options{Buckets: []string{"cache"}})
	t.Setenv("AWS_ACCESS_KEY_ID", fakes3.DefaultCredentials.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", fakes3.DefaultCredentials.SecretKey)
	other := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(other, "nix-cache-info"), []byte("StoreDir: /other/store\n"), 0o644))
	broken := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(broken, "nix-cache-info"), []byte("StoreDir: /nix/store\nPriority: high\n"), 0o644))

	for _, tc := range []struct {
		name, url string
		want      []string
		is        error
	}{
		{"no scheme", "some/dir", []string{"s3://"}, nil},
		{"an unknown scheme", "ftp://host", []string{`"ftp"`, "s3"}, nil},
		{"an unknown parameter", "mem://?compresion=xz", []string{"compresion", "compression"}, nil},
		{"an unknown S3 parameter", "s3://cache?regoin=us-east-1", []string{"regoin", "region"}, nil},
		{"a malformed boolean", "mem://?write-nar-listing=perhaps", []string{"write-nar-listing", "perhaps"}, nil},
		{"an unknown compression", "mem://?compression=zst", []string{"zst", "zstd"}, nil},
		{"a compression that cannot be written", "mem://?compression=bzip2", []string{"bzip2", "written"}, nil},
		{"a key file that is not there", "mem://?secret-key=/nowhere/key", []string{"/nowhere/key"}, os.ErrNotExist},
		{"a bucket that is not there", "s3://elsewhere?endpoint=" + s3.Endpoint(), []string{"elsewhere"}, blob.ErrNoSuchBucket},
		{"another store directory", "file://" + other, []string{"/other/store", "/nix/store", "store=/other/store"}, store.ErrStoreDir},
		{"a broken nix-cache-info", "file://" + broken, []string{"nix-cache-info", "Priority", "2"}, nil},
		{"a host in a file URL", "file://dir/cache", []string{"without a host"}, nil},
		{"a password in the URL", "http://user:secret@127.0.0.1:1/?retry-attempts=1", []string{"127.0.0.1"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := store.Open(t.Context(), tc.url)
			if err == nil {
				c.Close()
			}
			require.Error(t, err)
			for _, want := range tc.want {
				require.Contains(t, err.Error(), want)
			}
			require.NotContains(t, err.Error(), "secret@")
			if tc.is != nil {
				require.ErrorIs(t, err, tc.is)
			}
		})
	}
}

func TestOpenStoreDir(t *testing.T) {
	dir := t.TempDir()
	c := open(t, "file://"+dir+"?store=/gnu/store&priority=7&want-mass-query=yes")
	info, err := store.AddPath(t.Context(), c, someTree(t), store.AddPathOptions{Name: "tree"})
	require.NoError(t, err)
	require.Equal(t, storepath.Dir("/gnu/store"), info.StoreDir)
	text, err := os.ReadFile(filepath.Join(dir, "nix-cache-info"))
	require.NoError(t, err)
	require.Equal(t, "StoreDir: /gnu/store\nWantMassQuery: 1\nPriority: 7\n", string(text))
	_, err = store.Open(t.Context(), "file://"+dir)
	require.ErrorIs(t, err, store.ErrStoreDir)
}

func TestOpenDirectoryThatIsMadeLater(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet")
	c := open(t, "file://"+dir)
	_, err := c.Has(t.Context(), madeUpPath(1, "x"))
	require.ErrorIs(t, err, blob.ErrNoSuchBucket)
	require.NoDirExists(t, dir)
	add(t, c, newObject(t, 1, []byte("x")), store.AddOptions{})
	require.FileExists(t, filepath.Join(dir, "nix-cache-info"))

	src, _ := fill(t, independent(t, 70, 10), store.Settings{})
	for _, paths := range [][]storepath.Path{allPaths(t, src)[:3], allPaths(t, src)} {
		_, err = store.Copy(t.Context(), open(t, "file://"+filepath.Join(t.TempDir(), "x")), src, paths, store.CopyOptions{})
		require.NoError(t, err)
	}
}

func TestNamedMemoryIsShared(t *testing.T) {
	o := newObject(t, 1, []byte("x"))
	add(t, open(t, "mem://shared"), o, store.AddOptions{})
	requireReads(t, open(t, "mem://shared"), o.info.Path)
	has, err := open(t, "mem://").Has(t.Context(), o.info.Path)
	require.NoError(t, err)
	require.False(t, has)
}

// TestWebCaches copies a corpus cache through a plain web server and back.
func TestWebCaches(t *testing.T) {
	dir := t.TempDir()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file := filepath.Join(dir, filepath.FromSlash(r.URL.Path))
		switch r.Method {
		case http.MethodPut:
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Error(err)
			}
			f, err := os.Create(file)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			if _, err := f.ReadFrom(r.Body); err != nil {
				t.Error(err)
			}
		default:
			http.FileServer(http.Dir(dir)).ServeHTTP(w, r)
		}
	}))
	defer server.Close()
	web := open(t, server.URL)
	src := open(t, corpusURL(t, "zstd"))
	report, err := store.Copy(t.Context(), web, src, allPaths(t, src), store.CopyOptions{})
	require.NoError(t, err)
	require.Equal(t, report.Paths, report.Copied)

	back := open(t, "mem://")
	_, err = store.Copy(t.Context(), back, open(t, server.URL, store.WithTrustedKeys(corpusKeys(t)...)), allPaths(t, src), store.CopyOptions{})
	require.NoError(t, err)
	require.Len(t, allPaths(t, back), report.Paths)
}

// TestMissingKeysOfAnUnlistableBucket reads with permission to get objects but
// not to list them: S3 then answers 403 for a missing key.
func TestMissingKeysOfAnUnlistableBucket(t *testing.T) {
	s3 := storetest.NewS3(t, fakes3.Options{Buckets: []string{"cache"}, Unlistable: true})
	t.Setenv("AWS_ACCESS_KEY_ID", fakes3.DefaultCredentials.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", fakes3.DefaultCredentials.SecretKey)
	_, err := store.Open(t.Context(), "s3://cache?endpoint="+s3.Endpoint())
	require.ErrorIs(t, err, store.ErrAccessDenied, "nix-cache-info was not readable: nothing says that the bucket is")

	require.NoError(t, s3.PutObject("cache", "nix-cache-info", []byte("StoreDir: /nix/store\n"), nil))
	c := s3Cache(t, s3, "")
	has, err := c.Has(t.Context(), madeUpPath(1, "x"))
	require.NoError(t, err)
	require.False(t, has)
	_, err = c.PathInfo(t.Context(), madeUpPath(1, "x"))
	require.ErrorIs(t, err, store.ErrNotFound)
	require.Contains(t, err.Error(), "s3:ListBucket")

	s3.SetCredentials(fakes3.Credentials{AccessKey: fakes3.DefaultCredentials.AccessKey, SecretKey: "another"})
	_, err = c.Has(t.Context(), madeUpPath(2, "x"))
	require.Error(t, err, "a refused signature is not a missing path")
	require.True(t, strings.Contains(err.Error(), "SignatureDoesNotMatch"), err)
}
