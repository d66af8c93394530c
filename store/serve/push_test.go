package serve_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/internal/lease"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/serve"
	"example.com/nixs3/store/storetest"
)

// TestPushCorpus copies whole caches through a gateway.
func TestPushCorpus(t *testing.T) {
	for _, name := range append([]string{"self-2.34"}, lab.Caches...) {
		t.Run(name, func(t *testing.T) {
			g, fault := newPushGateway(t, serve.Options{})
			src := openCache(t, "file://"+lab.Cache(t, name))
			dst := openCache(t, g.URL+"?write-nar-listing=true")
			report, err := store.Copy(t.Context(), dst, src, nil, store.CopyOptions{All: true})
			require.NoError(t, err)
			require.NotZero(t, report.Copied)
			requireSound(t, fault)
			for info, err := range src.NarInfos(t.Context()) {
				require.NoError(t, err)
				got, err := dst.NarInfo(t.Context(), info.Path)
				require.NoError(t, err)
				require.Equal(t, info.NarHash, got.NarHash)
				listing, err := src.Listing(t.Context(), info.Path)
				require.NoError(t, err)
				want, err := listing.MarshalJSON()
				if errors.Is(err, nar.ErrNotUTF8) {
					continue // JSON has no such names
				}
				require.NoError(t, err)
				require.Equal(t, string(want), g.get(t, "/"+layout.ListingKey(info.Path.HashPart())).body)
			}
		})
	}
}

// TestLiars pushes what is wrong in every way that one object can be wrong.
// Nothing becomes visible.
func TestLiars(t *testing.T) {
	other := newSample(t, "other", "other", "none")
	for name, tt := range map[string]struct {
		change func(s *sample)
		status int
		says   string
	}{
		"archive with another hash": {func(s *sample) { s.file = append(s.file, 0) }, 422, ""},
		"archive cut short":         {func(s *sample) { s.file = s.file[:len(s.file)/2] }, 422, ""},
		"archive empty":             {func(s *sample) { s.file = nil }, 422, ""},
		"not a NAR":                 {func(s *sample) { s.setFile([]byte("hello")) }, 422, "NAR"},
		"garbage after the stream":  {func(s *sample) { s.setFile(append(bytes.Clone(s.file), "garbage"...)) }, 422, "NAR"},
		"a bomb":                    {func(s *sample) { *s = *newSample(t, "bomb", strings.Repeat("\x00", 2<<20), "zstd") }, 422, "NAR"},
		"key without a hash":        {func(s *sample) { s.info.URL = "nar/x.nar.xz" }, 400, "key"},
		"key with a short hash":     {func(s *sample) { s.info.URL = "nar/" + s.info.FileHash.Nix32()[1:] + ".nar.xz" }, 400, "key"},
		"key with a hash in hex":    {func(s *sample) { s.info.URL = "nar/" + s.info.FileHash.Base16() + ".nar.xz" }, 400, "key"},
		"key with other extension":  {func(s *sample) { s.info.URL = layout.ArchiveKey(s.info.FileHash, "zstd") }, 422, ""},
		"NarHash":                   {func(s *sample) { s.info.NarHash = hashOf([]byte("x")) }, 422, "NarHash"},
		"NarSize":                   {func(s *sample) { s.info.NarSize++ }, 422, "NarSize"},
		"FileHash":                  {func(s *sample) { s.info.FileHash = hashOf([]byte("x")) }, 422, "FileHash"},
		"FileSize":                  {func(s *sample) { s.info.FileSize++ }, 422, "FileSize"},
		"Compression":               {func(s *sample) { s.info.Compression = "bzip2" }, 422, "Compression"},
		"content address": {func(s *sample) {
			s.info.CA = storepath.ContentAddress{Method: storepath.MethodNAR, Hash: s.info.NarHash}
		}, 422, ""},
		"store":      {func(s *sample) { s.info.StoreDir = "/gnu/store" }, 409, "/gnu/store"},
		"references": {func(s *sample) { s.info.References = []storepath.Path{other.info.Path} }, 409, other.info.Path.String()},
	} {
		t.Run(name, func(t *testing.T) {
			g, fault := newPushGateway(t, serve.Options{Limits: serve.Limits{NarSize: 1 << 20}})
			s := newSample(t, "x", "some contents, some contents, some contents", "xz")
			tt.change(s)
			got := g.push(t, s)
			assert.Equal(t, tt.status, got.status, got.body)
			assert.Contains(t, got.body, tt.says)
			assert.Equal(t, 404, g.get(t, "/"+s.key()).status)
			requireSound(t, fault)
			requireEmpty(t, fault)
			require.Equal(t, 201, g.push(t, newSample(t, "good", "good", "none")).status)
		})
	}
}

// TestContentAddresses are checked against the contents, whatever the method.
func TestContentAddresses(t *testing.T) {
	for name, ca := range map[string]storepath.ContentAddress{
		"nar":      {Method: storepath.MethodNAR, Hash: newSample(t, "x", "contents", "none").info.NarHash},
		"flat":     {Method: storepath.MethodFlat, Hash: hashOf([]byte("contents"))},
		"text":     {Method: storepath.MethodText, Hash: hashOf([]byte("contents"))},
		"flat lie": {Method: storepath.MethodFlat, Hash: hashOf([]byte("others"))},
		"nar lie":  {Method: storepath.MethodNAR, Hash: hashOf([]byte("others"))},
		"text lie": {Method: storepath.MethodText, Hash: hashOf([]byte("others"))},
	} {
		t.Run(name, func(t *testing.T) {
			g, fault := newPushGateway(t, serve.Options{})
			s := newSample(t, "x", "contents", "zstd")
			s.info.CA = ca
			var err error
			s.info.Path, err = storepath.Default.FromContentAddress("x", ca, storepath.References{})
			require.NoError(t, err)
			got := g.push(t, s)
			if strings.HasSuffix(name, "lie") {
				require.Equal(t, 422, got.status, got.body)
				requireEmpty(t, fault)
				return
			}
			require.Equal(t, 201, got.status, got.body)
			requireSound(t, fault)
		})
	}
}

// TestKeysThatCannotBePushed are refused.
func TestKeysThatCannotBePushed(t *testing.T) {
	g, fault := newPushGateway(t, serve.Options{})
	for path, status := range map[string]int{
		"x": 403, "../x": 403, "nixs3/roots/x": 403, "nixs3/collect/state": 403, "%2e%2e/x.narinfo": 403, "nar/..%2fx": 403,
		"nar/x.idx": 403, "": 403, "nar/x": 400, "nar/a/b": 400, "log/x": 403, "nar/x%0d%0aEvil:%201": 403,
		"00000000000000000000000000000000.narinfo": 400, "00000000000000000000000000000000.ls": 400, "nix-cache-info": 200,
	} {
		got := g.put(t, path, []byte("x"))
		assert.Equal(t, status, got.status, "%s: %s", path, got.body)
	}
	assert.Zero(t, fault.Count("Put", "Commit"))
	assert.Equal(t, 409, g.put(t, "nix-cache-info", []byte("StoreDir: /gnu/store\n")).status)
}

// TestOrder refuses a narinfo before its archive and before its references, by
// name.
func TestOrder(t *testing.T) {
	g, fault := newPushGateway(t, serve.Options{})
	leaf := newSample(t, "leaf", "leaf", "zstd")
	user := newSample(t, "user", "user", "zstd", leaf.info.Path)
	got := g.put(t, leaf.key(), []byte(leaf.text(t)))
	require.Equal(t, 409, got.status)
	require.Contains(t, got.body, leaf.info.URL)
	got = g.push(t, user)
	require.Equal(t, 409, got.status)
	require.Contains(t, got.body, leaf.info.Path.String())
	require.Equal(t, 201, g.push(t, leaf).status)
	require.Equal(t, 201, g.put(t, user.key(), []byte(user.text(t))).status)
	requireSound(t, fault)
}

// TestOtherInstance takes a narinfo whose archive another instance received,
// after reading it back, and refuses one whose archive is a lie.
func TestOtherInstance(t *testing.T) {
	g, fault := newPushGateway(t, serve.Options{})
	good := newSample(t, "good", "good", "xz")
	_, err := fault.Put(t.Context(), good.info.URL, bytes.NewReader(good.file), blob.PutOptions{})
	require.NoError(t, err)
	require.Equal(t, 201, g.put(t, good.key(), []byte(good.text(t))).status)
	bad := newSample(t, "bad", "bad", "xz")
	_, err = fault.Put(t.Context(), bad.info.URL, strings.NewReader("a lie"), blob.PutOptions{})
	require.NoError(t, err)
	require.Equal(t, 422, g.put(t, bad.key(), []byte(bad.text(t))).status)
	require.Equal(t, 404, g.get(t, "/"+bad.key()).status)
}

// TestTwoPushes of one path, with the same contents and with others.
func TestTwoPushes(t *testing.T) {
	g, fault := newPushGateway(t, serve.Options{})
	first, second := newSample(t, "x", "one", "xz"), newSample(t, "x", "two", "zstd")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() { assert.Less(t, g.push(t, []*sample{first, second}[i%2]).status, 300) })
	}
	all.Wait()
	requireSound(t, fault)

	// The signatures of pushes of the same contents add up.
	kept, err := narinfo.Parse([]byte(g.get(t, "/"+first.key()).body))
	require.NoError(t, err)
	for _, name := range []string{"a-1", "b-1"} {
		key, err := narinfo.GenerateKey(name, nil)
		require.NoError(t, err)
		signed := *kept
		signed.Signatures = nil
		require.NoError(t, signed.Sign(t.Context(), key))
		text, err := signed.MarshalText()
		require.NoError(t, err)
		require.Equal(t, 200, g.put(t, first.key(), text).status)
	}
	kept, err = narinfo.Parse([]byte(g.get(t, "/"+first.key()).body))
	require.NoError(t, err)
	require.Len(t, kept.Signatures, 2)
}

// TestPushSignatures requires, and adds, signatures.
func TestPushSignatures(t *testing.T) {
	key := func(name string) narinfo.SecretKey {
		key, err := narinfo.GenerateKey(name, nil)
		require.NoError(t, err)
		return key
	}
	trusted, stranger, ours := key("trusted-1"), key("trusted-1"), key("ours-1")
	g, _ := newPushGateway(t, serve.Options{Push: &serve.Push{TrustedKeys: narinfo.TrustedKeys{trusted.Public()}, Signers: []narinfo.Signer{ours}}})
	s := newSample(t, "x", "x", "none")
	require.Equal(t, 403, g.push(t, s).status)
	require.NoError(t, s.info.Sign(t.Context(), stranger))
	require.Equal(t, 403, g.push(t, s).status)
	require.NoError(t, s.info.Sign(t.Context(), trusted))
	require.Equal(t, 201, g.push(t, s).status)
	got, err := narinfo.Parse([]byte(g.get(t, "/"+s.key()).body))
	require.NoError(t, err)
	require.NoError(t, narinfo.TrustedKeys{ours.Public()}.Verify(&got.PathInfo))
}

// TestPushRest pushes the objects that are not of the closure itself.
func TestPushRest(t *testing.T) {
	tree := t.TempDir()
	id := strings.Repeat("ab", 20)
	member := "lib/debug/.build-id/" + id[:2] + "/" + id[2:] + ".debug"
	require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(tree, member)), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(tree, member), []byte("debug"), 0o644))
	var plain bytes.Buffer
	require.NoError(t, nar.Dump(&plain, tree))
	s := pack(t, "x-debug", plain.Bytes(), "xz")
	g, fault := newPushGateway(t, serve.Options{})

	link := func(id, member string) answer {
		return g.put(t, "debuginfo/"+id+".debug", fmt.Appendf(nil, `{"archive":"../%s","member":"%s"}`, s.info.URL, member))
	}
	// Nix sends the listing and the links before the archive.
	listing := layout.ListingKey(s.info.Path.HashPart())
	require.Equal(t, 201, g.put(t, listing, []byte(`{"version":1,"root":{"type":"symlink","target":"a lie"}}`)).status)
	require.Equal(t, 201, link(id, member).status)
	require.Equal(t, 404, g.get(t, "/debuginfo/"+id+".debug").status)
	require.Equal(t, 201, g.push(t, s).status)
	require.Equal(t, 200, g.get(t, "/debuginfo/"+id+".debug").status)
	assert.Contains(t, g.get(t, "/"+listing).body, id[2:])
	assert.Equal(t, 422, link(strings.Repeat("cd", 20), member).status)
	for _, archive := range []string{"../../etc/passwd", "http://evil/nar/x", "../nixs3/x", ""} {
		assert.Equal(t, 400, g.put(t, "debuginfo/"+id+".debug", fmt.Appendf(nil, `{"archive":"%s","member":"x"}`, archive)).status, archive)
	}

	drv := strings.Repeat("0", 32) + "-x.drv"
	require.Equal(t, 201, g.put(t, "log/"+drv, []byte("a log")).status)
	assert.Equal(t, "a log", g.get(t, "/log/"+drv).body)

	realise := func(out string) answer {
		rid := "sha256:" + strings.Repeat("0", 64) + "!out"
		return g.put(t, "realisations/"+rid+".doi", fmt.Appendf(nil, `{"id":"%s","outPath":"%s","signatures":[],"dependentRealisations":{}}`, rid, out))
	}
	require.Equal(t, 409, realise(drv).status)
	require.Equal(t, 201, realise(s.info.Path.String()).status)
	requireSound(t, fault)
}

// TestPushOutage is 503 at whatever request to the bucket fails, and the same
// push succeeds afterwards.
func TestPushOutage(t *testing.T) {
	s := newSample(t, "x", "contents", "xz")
	for n := range 40 {
		g, fault := newPushGateway(t, serve.Options{})
		fault.SetPlan(storetest.FailAt(n, storetest.Fault{Kind: "error"}))
		got := g.push(t, s)
		if got.status == 201 {
			require.Greater(t, n, 3)
			return
		}
		require.Equal(t, 503, got.status, got.body)
		requireSound(t, fault)
		fault.SetPlan(nil)
		require.Less(t, g.push(t, s).status, 300)
		requireSound(t, fault)
	}
	t.Fatal("a push takes more than 40 requests")
}

// TestPreconditions of PUT.
func TestPreconditions(t *testing.T) {
	g, _ := newPushGateway(t, serve.Options{})
	s := newSample(t, "x", "contents", "xz")
	require.Equal(t, 412, g.put(t, s.info.URL, s.file, `If-Match: "x"`).status)
	require.Equal(t, 201, g.push(t, s).status)
	require.Equal(t, 412, g.put(t, s.info.URL, s.file, "If-None-Match: *").status)
	require.Equal(t, 412, g.put(t, s.key(), []byte(s.text(t)), "If-None-Match: *").status)
	etag := g.get(t, "/"+s.key()).header.Get("ETag")
	require.Equal(t, 201, g.put(t, s.key(), []byte(s.text(t)), "If-Match: "+etag).status)
}

// TestPushDuringSweep waits for the end of a sweep before it asks for the
// archive and the references, and believes nothing that it remembers.
func TestPushDuringSweep(t *testing.T) {
	leaf := newSample(t, "leaf", "leaf", "zstd")
	user := newSample(t, "user", "user", "zstd", leaf.info.Path)
	for _, tt := range []struct {
		name   string
		sweeps string // key that the sweep deletes
		status int
		says   string
	}{
		{"spared", "", 201, ""},
		{"archive swept", user.info.URL, 409, user.info.URL},
		{"reference swept", leaf.key(), 409, leaf.info.Path.String()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, fault := newPushGateway(t, serve.Options{})
			require.Equal(t, 201, g.push(t, leaf).status)
			require.Equal(t, 200, g.get(t, "/"+leaf.key()).status)
			require.Equal(t, 201, g.put(t, user.info.URL, user.file).status)
			phase := func(p lease.Phase) {
				data, err := json.Marshal(lease.State{Phase: p, TTL: int64(lease.LockTTL.Seconds())})
				require.NoError(t, err)
				_, err = fault.Put(t.Context(), lease.StateKey, bytes.NewReader(data), blob.PutOptions{})
				require.NoError(t, err)
			}
			time.Sleep(600 * time.Millisecond) // until the last look at the state no longer counts
			phase(lease.Sweeping)
			answered := make(chan answer, 1)
			go func() { answered <- g.put(t, user.key(), []byte(user.text(t))) }()
			require.Eventually(t, func() bool {
				for _, err := range fault.List(t.Context(), blob.ListOptions{Prefix: lease.Prefix}) {
					return err == nil
				}
				return false
			}, time.Minute, 5*time.Millisecond, "a lease")
			require.Empty(t, answered)
			if tt.sweeps != "" {
				require.NoError(t, fault.Delete(t.Context(), tt.sweeps))
			}
			phase(lease.Idle)
			got := <-answered
			require.NoError(t, got.err)
			assert.Equal(t, tt.status, got.status, got.body)
			assert.Contains(t, got.body, tt.says)
			for attrs := range fault.List(t.Context(), blob.ListOptions{Prefix: lease.Prefix}) {
				assert.Fail(t, "a lease stays", attrs.Key)
			}
		})
	}
}
