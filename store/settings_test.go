package store_test

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store"
)

func TestSettingsFromQuery(t *testing.T) {
	dir := t.TempDir()
	var files []string
	for _, name := range []string{"first-1", "second-1", "third-1"} {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(newKey(t, name).Reveal()), 0o600))
		files = append(files, file)
	}
	q := url.Values{
		"store":                {"/gnu/store"},
		"compression":          {"xz", "bzip2"}, // the first counts
		"compression-level":    {"9"},
		"parallel-compression": {"true"},
		"write-nar-listing":    {"1"},
		"index-debug-info":     {"yes"},
		"secret-key":           {files[0]},
		"secret-keys":          {files[1] + "," + files[2]},
		"narinfo-compression":  {"br"},
		"ls-compression":       {"zstd"},
		"log-compression":      {"none"},
		"local-nar-cache":      {"/var/cache/nars"},
		"presence":             {"ci.example.org"},
		"priority":             {"7"},
		"want-mass-query":      {"false"},
		"trusted":              {"true"},
		"path-info-cache-size": {"99"},
		"system-features":      {"kvm big-parallel"},
	}
	s, err := store.SettingsFromQuery(q)
	require.NoError(t, err)
	require.Len(t, s.Signers, 3)
	for i, name := range []string{"first-1", "second-1", "third-1"} {
		require.Equal(t, name, s.Signers[i].KeyName())
	}
	s.Signers = nil
	on, off, seven := true, false, 7
	require.Equal(t, store.Settings{
		StoreDir: "/gnu/store", Compression: "xz", CompressionLevel: 9, ParallelCompression: &on,
		WriteListing: true, IndexDebugInfo: true, NarInfoCompression: "br", ListingCompression: "zstd", LogCompression: "none",
		LocalNARCache: "/var/cache/nars", Presence: "ci.example.org", Priority: &seven, WantMassQuery: &off, Trusted: true, PathInfoCacheSize: 99,
	}, s)
	s, err = store.SettingsFromQuery(nil)
	require.NoError(t, err)
	require.Equal(t, store.Settings{}, s)
}

func FuzzSettingsFromQuery(f *testing.F) {
	f.Add("compression=zstd&compression-level=3&parallel-compression=true")
	f.Add("store=/nix/store&priority=40&want-mass-query=1&system-features=a b")
	f.Add("secret-key=/nowhere&secret-keys=/a,/b")
	f.Fuzz(func(t *testing.T, text string) {
		q, err := s3url.ParseQuery(text)
		if err != nil {
			return
		}
		if q.Has("secret-key") || q.Has("secret-keys") {
			return // reads files
		}
		s, err := store.SettingsFromQuery(q)
		if err == nil && s3url.ValidateSettings(q) != nil {
			t.Fatalf("%q became %+v", text, s)
		}
	})
}
