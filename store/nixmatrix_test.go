package store_test

import (
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
)

// matrixNix is a derivation that refers to another one and has debug files, and
// a content-addressed one. They need nothing but a shell.
const matrixNix = `
let drv = name: script: extra: derivation ({ inherit name; system = builtins.currentSystem;
  builder = "/bin/sh"; PATH = "/usr/bin"; args = [ "-c" script ]; } // extra);
in rec {
  leaf = drv "leaf" "mkdir -p $out/lib/debug/.build-id/ab; echo leaf > $out/f; echo D > $out/lib/debug/.build-id/ab/cdef0123456789abcdef0123456789abcdef01.debug" {};
  user = drv "user" "mkdir $out; echo ${leaf} $out > $out/refs; i=0; while [ $i -lt 9000 ]; do echo line $i of text; i=$((i+1)); done > $out/text" {};
  ca = drv "ca" "echo content-addressed > $out" { __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
}`

// place is where a cache is: a URL for Nix, one for nixs3, and one at which all
// objects can be listed.
type place struct{ nix, ours, listed string }

// places are the kinds of caches that the Nix on PATH can use. Each call of
// one makes a new cache.
func places(t *testing.T, nix *lab.Nix) map[string]func(t *testing.T) place {
	all := map[string]func(t *testing.T) place{
		"file": func(t *testing.T) place {
			dir := filepath.Join(t.TempDir(), "cache")
			return place{"file://" + dir, "file://" + dir, "file://" + dir}
		},
		"http": func(t *testing.T) place {
			dir := t.TempDir()
			server := httptest.NewServer(fileServer(dir))
			t.Cleanup(server.Close)
			return place{server.URL, server.URL, "file://" + dir}
		},
	}
	// Nix has s3:// only where it was built with it; Debian's is unsigned.
	server := storetest.NewS3(t, fakes3.Options{Buckets: []string{"probe"}, Anonymous: fakes3.FullAccess})
	if nix.Try("nix", "store", "ping", "--store", anonymousS3(server.Endpoint(), "probe")).Exit == 0 {
		all["s3"] = func(t *testing.T) place {
			bucket := "cache-" + strings.ToLower(rand.Text()) // Nix remembers caches by the name of the bucket
			server := storetest.NewS3(t, fakes3.Options{Buckets: []string{bucket}, Anonymous: fakes3.FullAccess})
			ours := anonymousS3(server.Endpoint(), bucket) + "&anonymous=true"
			return place{anonymousS3(server.Endpoint(), bucket), ours, ours}
		}
	}
	return all
}

func anonymousS3(endpoint, bucket string) string {
	return "s3://" + bucket + "?region=us-east-1&endpoint=" + url.QueryEscape(endpoint)
}

// fileServer serves a folder as nginx with WebDAV does: GET, HEAD and PUT.
func fileServer(dir string) http.Handler {
	files := http.FileServer(http.Dir(dir))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut {
			files.ServeHTTP(w, r)
			return
		}
		name := filepath.Join(dir, filepath.FromSlash(filepath.Clean("/"+r.URL.Path)))
		err := os.MkdirAll(filepath.Dir(name), 0o755)
		if err == nil {
			var f *os.File
			if f, err = os.CreateTemp(dir, ".put-*"); err == nil {
				_, err = io.Copy(f, r.Body)
				err = errors.Join(err, f.Close())
			}
			if err == nil {
				err = os.Rename(f.Name(), name)
			}
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})
}

func withParameters(rawURL, parameters string) string {
	if strings.Contains(rawURL, "?") {
		return rawURL + "&" + parameters
	}
	return rawURL + "?" + parameters
}

// TestNixMatrix crosses the Nix on PATH with kinds of caches, compressions and
// both directions, signatures required. .ci/run repeats it with newer Nix.
func TestNixMatrix(t *testing.T) {
	nix := lab.NewNix(t)
	t.Log(nix.Run("nix", "--version"))
	secret, public := nix.GenerateKey("nixs3-test-1")
	key, err := narinfo.LoadSecretKey(secret)
	require.NoError(t, err)
	built := nix.Run("nix-build", "--no-out-link", "--expr", matrixNix, "-A", "user")
	user, err := storepath.Default.Parse(built)
	require.NoError(t, err)
	dumped := nix.Run("nix-store", "--dump", nix.Physical(built))
	trusted, err := narinfo.ParseTrustedKeys(public)
	require.NoError(t, err)

	for kind, make := range places(t, nix) {
		for _, compression := range []string{"none", "zstd", "xz", "br", "gzip"} {
			t.Run(kind+"/"+compression, func(t *testing.T) {
				from := make(t)
				nix.Run("nix", "copy", "--to", withParameters(from.nix, "compression="+compression+"&write-nar-listing=true&index-debug-info=true&secret-key="+secret), built)
				theirs := open(t, from.ours, store.WithTrustedKeys(trusted...))
				checkSound(t, from, 2)
				listing, err := theirs.Listing(t.Context(), user)
				require.NoError(t, err)
				require.NotNil(t, listing.Lookup("text"))
				debugLink := "debuginfo/abcdef0123456789abcdef0123456789abcdef01.debug"
				_, err = open(t, from.listed).Bucket().Head(t.Context(), debugLink)
				require.NoError(t, err)

				// From Nix's cache to one of ours of the same kind, and back.
				to := make(t)
				ours := open(t, withParameters(to.ours, "compression="+compression+"&write-nar-listing=true&index-debug-info=true"), store.WithSigners(key))
				_, err = store.Copy(t.Context(), ours, theirs, []storepath.Path{user}, store.CopyOptions{TrustedKeys: trusted})
				require.NoError(t, err)
				checkSound(t, to, 2)
				_, err = open(t, to.listed).Bucket().Head(t.Context(), debugLink)
				require.NoError(t, err)
				fresh := lab.NewNix(t)
				fresh.Run("nix", "copy", "--from", to.nix, built, "--option", "require-sigs", "true", "--option", "trusted-public-keys", public)
				require.Equal(t, dumped, fresh.Run("nix-store", "--dump", fresh.Physical(built)))
				require.Equal(t, "leaf\n", fresh.Run("nix", "store", "cat", "--store", to.nix, leafOf(t, theirs, user)+"/f")+"\n")
			})
		}
	}
}

func checkSound(t *testing.T, at place, paths int) {
	t.Helper()
	report, err := storetest.CheckCache(t.Context(), open(t, at.listed).Bucket(), storetest.CheckOptions{})
	require.NoError(t, err)
	assert.Equal(t, paths, report.Paths)
}

// leafOf returns the full path of the other path that user refers to.
func leafOf(t *testing.T, cache *store.Cache, user storepath.Path) string {
	info, err := cache.NarInfo(t.Context(), user)
	require.NoError(t, err)
	for _, ref := range info.References {
		if ref != user {
			return storepath.Default.Join(ref)
		}
	}
	t.Fatal("no reference")
	return ""
}

// TestNixMatrixOfRealisations copies a content-addressed derivation with its
// realisation from Nix's cache to one of ours and back, over each kind of cache.
func TestNixMatrixOfRealisations(t *testing.T) {
	nix := lab.NewNix(t)
	secret, public := nix.GenerateKey("nixs3-test-1")
	key, err := narinfo.LoadSecretKey(secret)
	require.NoError(t, err)
	built := nix.Run("nix-build", "--no-out-link", "--expr", matrixNix, "-A", "ca")
	ca, err := storepath.Default.Parse(built)
	require.NoError(t, err)
	for kind, make := range places(t, nix) {
		t.Run(kind, func(t *testing.T) {
			from, to := make(t), make(t)
			nix.Run("nix", "copy", "--to", withParameters(from.nix, "secret-key="+secret), "--impure", "--expr", "("+matrixNix+").ca")
			theirs, ours := open(t, from.listed), open(t, to.ours, store.WithSigners(key))
			report, err := store.Copy(t.Context(), ours, theirs, []storepath.Path{ca}, store.CopyOptions{})
			require.NoError(t, err)
			require.NotZero(t, report.Realisations)
			require.Equal(t, realisationsOf(t, theirs), realisationsOf(t, open(t, to.listed)))
			fresh := lab.NewNix(t)
			fresh.Run("nix", "copy", "--from", to.nix, built, "--option", "require-sigs", "true", "--option", "trusted-public-keys", public)
			require.Equal(t, "content-addressed", fresh.Run("cat", fresh.Physical(built)))
		})
	}
}

// realisationsOf returns which output leads to which path.
func realisationsOf(t *testing.T, c *store.Cache) map[string]storepath.Path {
	t.Helper()
	all := map[string]storepath.Path{}
	for r, err := range c.Realisations(t.Context()) {
		require.NoError(t, err)
		all[r.ID.String()] = r.OutPath
	}
	return all
}

// TestNixAndWeWriteOneCache has both write the same paths to one cache at once.
func TestNixAndWeWriteOneCache(t *testing.T) {
	nix := lab.NewNix(t)
	built := nix.Run("nix-build", "--no-out-link", "--expr", matrixNix, "-A", "user")
	user, err := storepath.Default.Parse(built)
	require.NoError(t, err)
	from := place{ours: "file://" + filepath.Join(nix.Dir, "from")}
	nix.Run("nix", "copy", "--to", from.ours+"?compression=none", built)
	for kind, make := range places(t, nix) {
		t.Run(kind, func(t *testing.T) {
			at := make(t)
			src := open(t, from.ours)
			dst := open(t, withParameters(at.ours, "compression=zstd"))
			var both sync.WaitGroup
			both.Go(func() {
				for range 3 {
					r := nix.Try("nix", "copy", "--to", withParameters(at.nix, "compression=zstd"), built)
					assert.Zero(t, r.Exit, r.Stderr)
				}
			})
			for range 3 {
				both.Go(func() {
					_, err := store.Copy(t.Context(), dst, src, []storepath.Path{user}, store.CopyOptions{})
					assert.NoError(t, err)
				})
			}
			both.Wait()
			checkSound(t, at, 2)
			fresh := lab.NewNix(t)
			fresh.Run("nix", "copy", "--from", at.nix, built, "--option", "require-sigs", "false")
		})
	}
}
