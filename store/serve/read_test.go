package serve_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/serve"
	"example.com/nixs3/store/storetest"
)

// TestEveryObject reads all objects of the corpus by GET, HEAD and conditional
// requests.
func TestEveryObject(t *testing.T) {
	for _, name := range lab.Caches {
		t.Run(name, func(t *testing.T) {
			dir := lab.Cache(t, name)
			g := newGateway(t, openCache(t, "file://"+dir), serve.Options{})
			err := filepath.WalkDir(dir, func(file string, d os.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				rel, err := filepath.Rel(dir, file)
				require.NoError(t, err)
				key := filepath.ToSlash(rel)
				kind := layout.KindOf(key)
				if kind == layout.Other {
					return nil
				}
				want, err := os.ReadFile(file)
				require.NoError(t, err)
				got := g.get(t, "/"+key)
				require.Equal(t, 200, got.status, key)
				if kind != layout.CacheInfo {
					require.Equal(t, string(want), got.body, key)
				}
				assert.Equal(t, kind.ContentType(), got.header.Get("Content-Type"), key)
				assert.Equal(t, fmt.Sprint(len(got.body)), got.header.Get("Content-Length"), key)
				assert.Equal(t, "bytes", got.header.Get("Accept-Ranges"), key)
				assert.Regexp(t, `^"[!#-~]+"$`, got.header.Get("ETag"), key)
				assert.Empty(t, got.header.Get("Content-Encoding"), key)

				head := g.do(t, "HEAD", "/"+key, nil)
				got.header.Del("Date")
				head.header.Del("Date")
				assert.Equal(t, got.header, head.header, key)
				assert.Empty(t, head.body)
				for _, method := range []string{"GET", "HEAD"} {
					same := g.do(t, method, "/"+key, nil, "If-None-Match: W/\"x\", "+got.header.Get("ETag"))
					assert.Equal(t, 304, same.status, key)
					assert.Equal(t, got.header.Get("ETag"), same.header.Get("ETag"))
				}
				if last := got.header.Get("Last-Modified"); last != "" {
					assert.Equal(t, 304, g.get(t, "/"+key, "If-Modified-Since: "+last).status, key)
				}
				return nil
			})
			require.NoError(t, err)
		})
	}
}

// TestUnknownKeys are 404 whatever they look like, and never leave the cache.
func TestUnknownKeys(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "cache")
	require.NoError(t, os.CopyFS(secret, os.DirFS(lab.Cache(t, "none"))))
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(secret), "secret.narinfo"), []byte("secret"), 0o644))
	require.NoError(t, os.MkdirAll(filepath.Join(secret, "nixs3/roots"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(secret, "nixs3/roots/x"), []byte("secret"), 0o644))
	g := newGateway(t, openCache(t, "file://"+secret), serve.Options{})
	for _, path := range []string{
		"/x", "/favicon.ico", "/nix-cache-info/", "//nix-cache-info", "/./nix-cache-info", "/nix-cache-info%00",
		"/../secret.narinfo", "/%2e%2e/secret.narinfo", "/..%2fsecret.narinfo", "/nar/../../secret.narinfo", "/nar/%2e%2e/%2e%2e/secret.narinfo",
		"/nar/..%2f..%2fsecret.narinfo", "/nar/..%5c..%5csecret.narinfo", `/nar/..\..\secret.narinfo`, "/nar/%252e%252e/secret.narinfo",
		"/nixs3/roots/x", "/nixs3%2froots/x", "/nar/", "/nar", "/nar//x", "/nar/x%0d%0aX-Evil:%201", "/nar/x%0a", "/nar/%7f",
		"/00000000000000000000000000000000.narinfo", "/short.narinfo", "/00000000000000000000000000000000.ls", "/E0000000000000000000000000000000.narinfo",
		"/log/notapath", "/debuginfo/xyz", "/realisations/x", "/build-trace-v2/x", "/nar/%ff", "/nar/" + strings.Repeat("a", 2000),
	} {
		for _, method := range []string{"GET", "HEAD"} {
			got := g.do(t, method, path, nil)
			assert.Equal(t, 404, got.status, "%s %s", method, path)
			assert.NotContains(t, got.body, "secret", path)
			assert.Empty(t, got.header.Get("X-Evil"))
			assert.Equal(t, "no-store", got.header.Get("Cache-Control"), path)
		}
	}
	for _, method := range []string{"POST", "DELETE", "OPTIONS", "PUT"} {
		got := g.do(t, method, "/nix-cache-info", nil)
		assert.Equal(t, 405, got.status, method)
		assert.Contains(t, got.header.Get("Allow"), "GET")
	}
}

func TestRanges(t *testing.T) {
	c := openCache(t, "file://"+lab.Cache(t, "none"))
	info := anyNarInfo(t, c)
	whole, err := os.ReadFile(filepath.Join(lab.Cache(t, "none"), info.URL))
	require.NoError(t, err)
	g := newGateway(t, c, serve.Options{})
	etag := g.get(t, "/"+info.URL).header.Get("ETag")
	size := len(whole)
	for _, tt := range []struct {
		header       string
		status       int
		begin, after int
	}{
		{"bytes=0-", 206, 0, size},
		{"bytes=0-0", 206, 0, 1},
		{"bytes=5-9", 206, 5, 10},
		{"bytes=5-99999999999999999999999", 206, 5, size},
		{"bytes=-3", 206, size - 3, size},
		{fmt.Sprintf("bytes=-%d", size+5), 206, 0, size},
		{fmt.Sprintf("bytes=%d-", size-1), 206, size - 1, size},
		{fmt.Sprintf("bytes=%d-", size), 416, 0, 0},
		{"bytes=99999999999999999999999-", 416, 0, 0},
		{"bytes=-0", 416, 0, 0},
		{"BYTES=1-2", 206, 1, 3},
		{"bytes=2-1", 200, 0, size},
		{"bytes=a-b", 200, 0, size},
		{"bytes=--1", 200, 0, size},
		{"bytes=+1-2", 200, 0, size},
		{"bytes=1", 200, 0, size},
		{"bytes=0-1,3-4", 200, 0, size},
		{"chunks=0-1", 200, 0, size},
	} {
		t.Run(tt.header, func(t *testing.T) {
			got := g.get(t, "/"+info.URL, "Range: "+tt.header)
			require.Equal(t, tt.status, got.status)
			assert.Equal(t, etag, got.header.Get("ETag"))
			if tt.status == 416 {
				assert.Equal(t, fmt.Sprintf("bytes */%d", size), got.header.Get("Content-Range"))
				return
			}
			assert.Equal(t, "bytes", got.header.Get("Accept-Ranges"))
			assert.Equal(t, string(whole[tt.begin:tt.after]), got.body)
			if tt.status == 206 {
				assert.Equal(t, fmt.Sprintf("bytes %d-%d/%d", tt.begin, tt.after-1, size), got.header.Get("Content-Range"))
			}
		})
	}
	assert.Equal(t, 200, g.get(t, "/"+info.URL, "Range: bytes=5-9", `If-Range: "other"`).status)
	assert.Equal(t, 206, g.get(t, "/"+info.URL, "Range: bytes=5-9", "If-Range: "+etag).status)
	assert.Equal(t, 412, g.get(t, "/"+info.URL, `If-Match: "other"`).status)
	assert.Equal(t, 200, g.get(t, "/"+info.URL, "If-Match: "+etag).status)
	assert.Equal(t, 206, g.get(t, "/"+layout.NarInfoKey(info.Path.HashPart()), "Range: bytes=5-9").status)
}

// TestOutage is 503 for every object while the bucket fails, and never 404.
func TestOutage(t *testing.T) {
	c, fault := faulty(t, "none")
	info := anyNarInfo(t, c)
	for name, err := range map[string]error{
		"error": fmt.Errorf("boom"), "denied": blob.ErrAccessDenied, "no bucket": blob.ErrNoSuchBucket,
		"throttled": blob.ErrThrottled, "no credentials": blob.ErrNoCredentials,
	} {
		fault.SetPlan(nil)
		fresh, nerr := store.New(fault, store.Settings{})
		require.NoError(t, nerr)
		g := newGateway(t, fresh, serve.Options{})
		fault.SetPlan(storetest.FailFrom(0, storetest.Fault{Kind: "error", Err: err}))
		for _, path := range []string{
			"/nix-cache-info", "/" + layout.NarInfoKey(info.Path.HashPart()), "/00000000000000000000000000000000.narinfo",
			"/" + info.URL, "/nar/absent.nar", "/" + layout.ListingKey(info.Path.HashPart()), "/log/" + info.Path.String(),
			"/debuginfo/0123456789abcdef.debug", "/buildid/0123456789abcdef/debuginfo", "/readyz",
			"/realisations/sha256:" + strings.Repeat("0", 64) + "!out.doi",
		} {
			for _, method := range []string{"GET", "HEAD"} {
				got := g.do(t, method, path, nil)
				assert.Equal(t, 503, got.status, "%s %s %s", name, method, path)
				assert.NotEmpty(t, got.header.Get("Retry-After"), path)
				assert.Empty(t, got.header.Get("ETag"), path)
				assert.NotContains(t, got.body, "boom")
			}
		}
		fault.SetPlan(nil)
		assert.Equal(t, 404, g.get(t, "/00000000000000000000000000000000.narinfo").status, "an outage is not remembered")
		assert.Equal(t, 200, g.get(t, "/readyz").status)
		assert.Equal(t, 200, g.get(t, "/healthz").status)
	}
}

// TestBrokenBodies break the connection, so that no client takes a part for
// the whole.
func TestBrokenBodies(t *testing.T) {
	for name, kind := range map[string]string{
		"reset": "reset", "truncated": "truncate", "clean end too early": "lie",
	} {
		t.Run(name, func(t *testing.T) {
			c, fault := faulty(t, "none")
			info := anyNarInfo(t, c)
			g := newGateway(t, c, serve.Options{})
			fault.SetPlan(func(op storetest.Operation) storetest.Fault {
				return storetest.Fault{Kind: kind, After: info.FileSize / 2}
			})
			got := g.get(t, "/"+info.URL)
			assert.Error(t, got.err)
		})
	}
}

// TestEncodings decodes what is stored encoded, unless the client accepts the
// encoding.
func TestEncodings(t *testing.T) {
	b := memblob.New()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	text := strings.Repeat("a line of a log\n", 40_000)
	fmt.Fprint(z, text)
	require.NoError(t, z.Close())
	drv, err := storepath.ParseBase(strings.Repeat("0", 32) + "-x.drv")
	require.NoError(t, err)
	key := layout.LogKey(drv)
	_, err = b.Put(t.Context(), key, bytes.NewReader(zipped.Bytes()), blob.PutOptions{ContentEncoding: "gzip"})
	require.NoError(t, err)
	c, err := store.New(b, store.Settings{})
	require.NoError(t, err)
	g := newGateway(t, c, serve.Options{})
	for header, encoded := range map[string]bool{
		"": false, "identity": false, "br, zstd": false, "gzip": true, "GZIP": true, "br;q=1, gzip;q=0.5": true,
		"gzip;q=0": false, "gzip;q=0.000": false, "*": false, "x-gzip2": false,
	} {
		t.Run(header, func(t *testing.T) {
			got := g.get(t, "/"+key, "Accept-Encoding: "+header)
			require.Equal(t, 200, got.status)
			want, encoding := text, ""
			if encoded {
				want, encoding = zipped.String(), "gzip"
			}
			assert.Equal(t, want, got.body)
			assert.Equal(t, encoding, got.header.Get("Content-Encoding"))
			assert.Equal(t, fmt.Sprint(len(want)), got.header.Get("Content-Length"))
			assert.Equal(t, "Accept-Encoding", got.header.Get("Vary"))
			part := g.get(t, "/"+key, "Accept-Encoding: "+header, "Range: bytes=7-20")
			assert.Equal(t, 206, part.status)
			assert.Equal(t, want[7:21], part.body)
		})
	}
	assert.NotEqual(t, g.get(t, "/"+key).header.Get("ETag"), g.get(t, "/"+key, "Accept-Encoding: gzip").header.Get("ETag"))

	// A narinfo is decoded for everybody. An encoding that is the compression
	// of the archive was not applied.
	src := openCache(t, "file://"+lab.Cache(t, "none"))
	info := anyNarInfo(t, src)
	plain, err := info.MarshalText()
	require.NoError(t, err)
	var small bytes.Buffer
	enc, err := codec.NewWriter("zstd", &small, codec.WriterOptions{})
	require.NoError(t, err)
	_, err = enc.Write(plain)
	require.NoError(t, err)
	require.NoError(t, enc.Close())
	nkey := layout.NarInfoKey(info.Path.HashPart())
	_, err = b.Put(t.Context(), nkey, bytes.NewReader(small.Bytes()), blob.PutOptions{ContentEncoding: "zstd"})
	require.NoError(t, err)
	assert.Equal(t, string(plain), g.get(t, "/"+nkey).body)
	_, err = b.Put(t.Context(), "nar/x.nar.xz", strings.NewReader("bytes"), blob.PutOptions{ContentEncoding: "xz"})
	require.NoError(t, err)
	nar := g.get(t, "/nar/x.nar.xz")
	assert.Equal(t, "bytes", nar.body)
	assert.Empty(t, nar.header.Get("Content-Encoding"))

	// An archive is decoded for a client that does not accept its encodings.
	for label, names := range map[string][]string{"gzip": {"gzip"}, "X-Gzip": {"gzip"}, "zstd, br": {"zstd", "br"}} {
		stored := []byte("archive")
		for _, name := range names {
			var out bytes.Buffer
			enc, err := codec.NewWriter(name, &out, codec.WriterOptions{})
			require.NoError(t, err)
			_, err = enc.Write(stored)
			require.NoError(t, errors.Join(err, enc.Close()))
			stored = out.Bytes()
		}
		_, err = b.Put(t.Context(), "nar/y.nar.xz", bytes.NewReader(stored), blob.PutOptions{ContentEncoding: label})
		require.NoError(t, err)
		for header, want := range map[string]answer{
			"identity":               {body: "archive"},
			strings.Join(names, ","): {body: string(stored)},
		} {
			encoding := ""
			if want.body != "archive" {
				encoding = strings.Join(names, ", ")
			}
			got := g.get(t, "/nar/y.nar.xz", "Accept-Encoding: "+header)
			assert.Equal(t, want.body, got.body, label)
			assert.Equal(t, encoding, got.header.Get("Content-Encoding"))
			assert.Equal(t, "Accept-Encoding", got.header.Get("Vary"))
			part := g.get(t, "/nar/y.nar.xz", "Accept-Encoding: "+header, "Range: bytes=2-4")
			assert.Equal(t, 206, part.status)
			assert.Equal(t, want.body[2:5], part.body, label)
			head := g.do(t, "HEAD", "/nar/y.nar.xz", nil, "Accept-Encoding: "+header)
			assert.Equal(t, fmt.Sprint(len(want.body)), head.header.Get("Content-Length"))
		}
	}
}

// TestBadNarInfos are failures of the storage, not absent paths.
func TestBadNarInfos(t *testing.T) {
	info := anyNarInfo(t, openCache(t, "file://"+lab.Cache(t, "none")))
	good, err := info.MarshalText()
	require.NoError(t, err)
	other := *info
	other.Path, err = storepath.ParseBase(strings.Repeat("0", 32) + "-x")
	require.NoError(t, err)
	wrong, err := other.MarshalText()
	require.NoError(t, err)
	for name, text := range map[string]string{
		"empty": "", "a page of a portal": "<html>sign in</html>", "truncated": string(good[:len(good)/2]), "of another path": string(wrong),
	} {
		b := memblob.New()
		key := layout.NarInfoKey(info.Path.HashPart())
		_, err := b.Put(t.Context(), key, strings.NewReader(text), blob.PutOptions{})
		require.NoError(t, err)
		c, err := store.New(b, store.Settings{})
		require.NoError(t, err)
		assert.Equal(t, 503, newGateway(t, c, serve.Options{}).get(t, "/"+key).status, name)
	}
}

// TestSignsOnTheWayOut leaves the stored narinfo as it is.
func TestSignsOnTheWayOut(t *testing.T) {
	c := openCache(t, "file://"+lab.Cache(t, "none"))
	info := anyNarInfo(t, c)
	key, err := narinfo.GenerateKey("out-1", nil)
	require.NoError(t, err)
	g := newGateway(t, c, serve.Options{Signers: []narinfo.Signer{key}})
	got, err := narinfo.Parse([]byte(g.get(t, "/"+layout.NarInfoKey(info.Path.HashPart())).body))
	require.NoError(t, err)
	require.Len(t, got.Signatures, len(info.Signatures)+1)
	got.CA = storepath.ContentAddress{}
	require.NoError(t, narinfo.TrustedKeys{key.Public()}.Verify(&got.PathInfo))
}

// TestLinkedDebugFiles answers debuginfod clients.
func TestLinkedDebugFiles(t *testing.T) {
	tree := t.TempDir()
	id := strings.Repeat("ab", 20)
	file := filepath.Join(tree, "lib/debug/.build-id", id[:2], id[2:]+".debug")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte("debug information"), 0o644))
	c := openCache(t, "mem://?index-debug-info=true")
	_, err := store.AddPath(t.Context(), c, tree, store.AddPathOptions{Name: "x-debug"})
	require.NoError(t, err)
	g := newGateway(t, c, serve.Options{})
	link := g.get(t, "/debuginfo/"+id+".debug")
	require.Equal(t, 200, link.status)
	assert.Equal(t, link.body, g.get(t, "/debuginfo/"+id).body)
	got := g.get(t, "/buildid/"+id+"/debuginfo")
	assert.Equal(t, "debug information", got.body)
	assert.Equal(t, "17", got.header.Get("Content-Length"))
	assert.Equal(t, 200, g.do(t, http.MethodHead, "/buildid/"+id+"/debuginfo", nil).status)
	assert.Equal(t, 404, g.get(t, "/buildid/"+strings.Repeat("cd", 20)+"/debuginfo").status)
	assert.Equal(t, 404, g.get(t, "/buildid/../debuginfo").status)
}
