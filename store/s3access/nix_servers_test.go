package s3access_test

import (
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/s3url"
	"example.com/nixs3/store"
	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/s3access"
	"example.com/nixs3/store/storetest"
)

// derivations are one with debug files, one that refers to it and to itself, and
// a content-addressed one.
const derivations = `
let drv = name: script: extra: derivation ({ inherit name; system = builtins.currentSystem;
  builder = "/bin/sh"; PATH = "/usr/bin"; args = [ "-c" script ]; } // extra);
in rec {
  leaf = drv "leaf" "mkdir -p $out/lib/debug/.build-id/ab; echo D > $out/lib/debug/.build-id/ab/cdef0123456789abcdef0123456789abcdef01.debug" {};
  user = drv "user" "mkdir $out; echo ${leaf} $out > $out/refs; i=0; while [ $i -lt 9000 ]; do echo line $i; i=$((i+1)); done > $out/text" {};
  ca = drv "ca" "echo content-addressed > $out" { __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
}`

const debugLink = "debuginfo/abcdef0123456789abcdef0123456789abcdef01.debug"

// TestNixOnRealS3 crosses a Nix that has s3:// with real servers, compressions
// and both directions: listings, links to debug files, signatures required,
// content-addressed derivations with realisations, and both writing one cache
// at once. Debian's Nix does not sign requests, so everybody may use the buckets.
func TestNixOnRealS3(t *testing.T) {
	nix := lab.NewNix(t)
	version := nix.Run("nix", "--version")
	servers := lab.Servers(t)
	if strings.Contains(nix.Try("nix", "store", "ping", "--store", "s3://b?endpoint=http://127.0.0.1:1&retry-attempts=1").Stderr, "don't know how to open") {
		t.Log(version, "has no s3://")
		return
	}
	secret, public := nix.GenerateKey("nixs3-test-1")
	key, err := narinfo.LoadSecretKey(secret)
	require.NoError(t, err)
	trusted, err := narinfo.ParseTrustedKeys(public)
	require.NoError(t, err)
	built := map[string]string{}
	for _, name := range []string{"leaf", "user", "ca"} {
		built[name] = nix.Run("nix-build", "--no-out-link", "--expr", derivations, "-A", name)
	}
	user, err := storepath.Default.Parse(built["user"])
	require.NoError(t, err)
	dumped := nix.Run("nix-store", "--dump", nix.Physical(built["user"]))
	fetch := func(t *testing.T, from, what string) {
		t.Helper()
		fresh := lab.NewNix(t)
		fresh.Run("nix", "copy", "--from", from, what, "--option", "require-sigs", "true", "--option", "trusted-public-keys", public)
		if what == built["user"] {
			require.Equal(t, dumped, fresh.Run("nix-store", "--dump", fresh.Physical(what)))
		}
	}

	for _, server := range servers {
		if strings.HasSuffix(server.Name, "-tls") {
			continue // Nix trusts its own authorities
		}
		server.URL(t) // for the environment
		for _, compression := range []string{"none", "zstd", "xz", "br", "gzip"} {
			t.Run(server.Name+"/"+compression, func(t *testing.T) {
				from, to := newOpenCache(t, server), newOpenCache(t, server)
				settings := "&compression=" + compression + "&write-nar-listing=true&index-debug-info=true"
				nix.Run("nix", "copy", "--to", from.nix+settings+"&secret-key="+secret, built["user"])
				theirs := from.open(t, "", store.WithTrustedKeys(trusted...))
				requireWhole(t, theirs, user)

				ours := to.open(t, settings, store.WithSigners(key))
				_, err := store.Copy(t.Context(), ours, theirs, []storepath.Path{user}, store.CopyOptions{TrustedKeys: trusted})
				require.NoError(t, err)
				requireWhole(t, ours, user)
				fetch(t, to.nix, built["user"])
				fetch(t, from.nix, built["user"])
			})
		}
		t.Run(server.Name+"/content-addressed", func(t *testing.T) {
			from, to := newOpenCache(t, server), newOpenCache(t, server)
			nix.Run("nix", "copy", "--to", from.nix+"&secret-key="+secret, "--impure", "--expr", "("+derivations+").ca")
			theirs := from.open(t, "")
			ours := to.open(t, "", store.WithSigners(key))
			ca, err := storepath.Default.Parse(built["ca"])
			require.NoError(t, err)
			_, err = store.Copy(t.Context(), ours, theirs, []storepath.Path{ca}, store.CopyOptions{})
			require.NoError(t, err)
			want := realisations(t, theirs)
			require.NotEmpty(t, want)
			require.Equal(t, want, realisations(t, ours))
			fetch(t, to.nix, built["ca"])
		})
		t.Run(server.Name+"/both at once", func(t *testing.T) {
			at := newOpenCache(t, server)
			local := "file://" + filepath.Join(t.TempDir(), "from")
			nix.Run("nix", "copy", "--to", local+"?compression=none&secret-key="+secret, built["user"])
			src, err := store.Open(t.Context(), local)
			require.NoError(t, err)
			dst := at.open(t, "&compression=zstd")
			var both sync.WaitGroup
			both.Go(func() {
				for range 2 {
					r := nix.Try("nix", "copy", "--to", at.nix+"&compression=zstd&secret-key="+secret, built["user"])
					assert.Zero(t, r.Exit, r.Stderr)
				}
			})
			for range 2 {
				both.Go(func() {
					_, err := store.Copy(t.Context(), dst, src, []storepath.Path{user}, store.CopyOptions{})
					assert.NoError(t, err)
				})
			}
			both.Wait()
			_, err = storetest.CheckCache(t.Context(), dst.Bucket(), storetest.CheckOptions{})
			require.NoError(t, err)
			fetch(t, at.nix, built["user"])
		})
	}
}

// openBucket is a bucket that everybody may use, as a URL for Nix.
type openBucket struct{ nix string }

func newOpenCache(t *testing.T, server lab.Server) openBucket {
	bucket := newBucket(t, server)
	raw := "s3://" + bucket.name + "?region=us-east-1&endpoint=" + url.QueryEscape(server.Endpoint)
	u, err := s3url.Parse(raw)
	require.NoError(t, err)
	bucket.allow(t, u, s3access.AccessWrite)
	return openBucket{raw}
}

// open opens the cache with the credentials of the lab.
func (b openBucket) open(t *testing.T, parameters string, opts ...store.Option) *store.Cache {
	t.Helper()
	c, err := store.Open(t.Context(), b.nix+parameters, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	require.NoError(t, c.Bucket().Delete(t.Context(), "stable/nix-cache-info")) // of other tests
	return c
}

// requireWhole checks a cache of user and leaf with listings and a link to
// leaf's debug file.
func requireWhole(t *testing.T, c *store.Cache, user storepath.Path) {
	t.Helper()
	report, err := storetest.CheckCache(t.Context(), c.Bucket(), storetest.CheckOptions{})
	require.NoError(t, err)
	require.Equal(t, 2, report.Paths)
	listing, err := c.Listing(t.Context(), user)
	require.NoError(t, err)
	require.NotNil(t, listing.Lookup("text"))
	_, err = c.Bucket().Head(t.Context(), debugLink)
	require.NoError(t, err)
}

// realisations returns which output leads to which path.
func realisations(t *testing.T, c *store.Cache) map[string]storepath.Path {
	t.Helper()
	all := map[string]storepath.Path{}
	for r, err := range c.Realisations(t.Context()) {
		require.NoError(t, err)
		all[r.ID.String()] = r.OutPath
	}
	return all
}
