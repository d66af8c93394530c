package serve_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/serve"
	"example.com/nixs3/store/storetest"
)

// peer is another web server with the corpus, which a test lets misbehave.
type peer struct {
	web  *httptest.Server
	hook func(w http.ResponseWriter, r *http.Request) bool // true: answered
	gets atomic.Int64                                      // of archives
	all  atomic.Int64
}

func newPeer(t testing.TB, name string) *peer {
	files := http.FileServer(http.Dir(lab.Cache(t, name)))
	p := &peer{}
	p.web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.all.Add(1)
		if strings.HasPrefix(r.URL.Path, "/nar/") && r.Method == "GET" {
			p.gets.Add(1)
		}
		if p.hook == nil || !p.hook(w, r) {
			files.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(p.web.Close)
	return p
}

func labKeys(t testing.TB) narinfo.TrustedKeys {
	keys, err := narinfo.ParseTrustedKeys(lab.PublicKey(t))
	require.NoError(t, err)
	return keys
}

func (p *peer) upstream(t testing.TB) serve.Upstream {
	return serve.Upstream{Cache: openCache(t, p.web.URL+"?retry-attempts=1"), Keys: labKeys(t)}
}

// corpusInfo returns a signed narinfo of a cache of the corpus.
func corpusInfo(t testing.TB, name string) *narinfo.NarInfo {
	return anyNarInfo(t, openCache(t, "file://"+lab.Cache(t, name)))
}

// TestUpstream serves all of an upstream's paths, and stores those that clients
// fetch where asked.
func TestUpstream(t *testing.T) {
	for _, through := range []bool{false, true} {
		t.Run(fmt.Sprintf("pull-through %v", through), func(t *testing.T) {
			p := newPeer(t, "full-xz")
			u := p.upstream(t)
			u.PullThrough = through
			main := storetest.NewFaultBucket(memblob.New(), nil)
			c, err := store.New(main, store.Settings{})
			require.NoError(t, err)
			g := newGateway(t, c, serve.Options{Upstreams: []serve.Upstream{u}})
			src := openCache(t, "file://"+lab.Cache(t, "full-xz"))
			dst := openCache(t, "mem://")
			n := 0
			for info, err := range src.NarInfos(t.Context()) {
				require.NoError(t, err)
				_, err = store.Copy(t.Context(), dst, openCache(t, g.URL), []storepath.Path{info.Path}, store.CopyOptions{TrustedKeys: labKeys(t)})
				require.NoError(t, err)
				n++
			}
			if !through {
				requireEmpty(t, main)
				return
			}
			require.Eventually(t, func() bool {
				stored := 0
				for _, err := range c.HashParts(t.Context()) {
					require.NoError(t, err)
					stored++
				}
				return stored == n
			}, 60*time.Second, 20*time.Millisecond, "references come after their users, and yet paths become visible")
			g.Close() // ends what is stored in the background
			requireSound(t, main)
		})
	}
}

// TestOneFetch asks for one archive many times at once.
func TestOneFetch(t *testing.T) {
	p := newPeer(t, "none")
	goOn := make(chan struct{})
	p.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/nar/") {
			<-goOn
		}
		return false
	}
	u := p.upstream(t)
	u.PullThrough = true
	g := newGateway(t, openCache(t, "mem://"), serve.Options{Upstreams: []serve.Upstream{u}})
	info := corpusInfo(t, "none")
	require.Equal(t, 200, g.get(t, "/"+layout.NarInfoKey(info.Path.HashPart())).status)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if i%2 == 0 {
				got := g.get(t, "/"+info.URL)
				assert.Equal(t, 200, got.status)
				assert.Len(t, got.body, int(info.FileSize))
				return
			}
			assert.Len(t, g.get(t, "/"+info.URL, "Range: bytes=10-").body, int(info.FileSize)-10)
		})
	}
	require.Eventually(t, func() bool { return p.gets.Load() == 1 }, time.Minute, time.Millisecond)
	close(goOn)
	all.Wait()
	assert.EqualValues(t, 1, p.gets.Load())
	require.Eventually(t, func() bool { return g.get(t, "/"+info.URL).status == 200 && p.gets.Load() == 1 }, time.Minute, time.Millisecond)
}

// TestPeersFaults is the matrix of what an upstream may do wrong. No client
// gets a wrong archive whole, and an outage is never a miss.
func TestPeersFaults(t *testing.T) {
	info := corpusInfo(t, "none")
	nar, meta := "/"+info.URL, "/"+layout.NarInfoKey(info.Path.HashPart())
	absent := "/00000000000000000000000000000000.narinfo"
	on := func(path string, answer func(w http.ResponseWriter)) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == path {
				answer(w)
			}
			return r.URL.Path == path
		}
	}
	status := func(code int) func(http.ResponseWriter) { return func(w http.ResponseWriter) { w.WriteHeader(code) } }
	text, err := info.MarshalText()
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		hook   func(http.ResponseWriter, *http.Request) bool
		path   string
		status int // 0: broken off, or 503
	}{
		"truncated with 200": {on(nar, func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", fmt.Sprint(info.FileSize))
			_, _ = io.WriteString(w, "short")
			panic(http.ErrAbortHandler)
		}), nar, 0},
		"too short with its own length": {on(nar, func(w http.ResponseWriter) { _, _ = io.WriteString(w, "short") }), nar, 503},
		"too long": {on(nar, func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, strings.Repeat("x", int(info.FileSize)+1))
		}), nar, 503},
		"another body of the size": {on(nar, func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", fmt.Sprint(info.FileSize))
			_, _ = io.WriteString(w, strings.Repeat("x", int(info.FileSize)))
		}), nar, 0},
		"archive gone":            {on(nar, status(404)), nar, 404},
		"archive in an outage":    {on(nar, status(502)), nar, 503},
		"narinfo in an outage":    {on(absent, status(500)), absent, 503},
		"narinfo denied":          {on(absent, status(401)), absent, 503},
		"narinfo throttled":       {on(absent, status(429)), absent, 503},
		"connection closed":       {on(absent, func(http.ResponseWriter) { panic(http.ErrAbortHandler) }), absent, 503},
		"a page with 200":         {on(absent, func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>") }), absent, 503},
		"narinfo of another path": {on(absent, func(w http.ResponseWriter) { _, _ = w.Write(text) }), absent, 503},
		"URL to another host": {on(meta, func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, strings.Replace(string(text), "URL: ", "URL: http://127.0.0.1:1/", 1))
		}), meta, 503},
		"not signed": {on(meta, func(w http.ResponseWriter) {
			for line := range strings.Lines(string(text)) {
				if !strings.HasPrefix(line, "Sig:") && !strings.HasPrefix(line, "CA:") {
					_, _ = io.WriteString(w, line)
				}
			}
		}), meta, 503},
		"absent": {nil, absent, 404},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, "none")
			g := newGateway(t, openCache(t, "mem://"), serve.Options{Upstreams: []serve.Upstream{p.upstream(t)}})
			if tt.path == nar {
				require.Equal(t, 200, g.get(t, meta).status)
			}
			p.hook = tt.hook
			got := g.get(t, tt.path)
			if tt.status == 0 {
				assert.True(t, got.err != nil || got.status == 503, "%v %d", got.err, got.status)
				return
			}
			require.NoError(t, got.err)
			assert.Equal(t, tt.status, got.status)
		})
	}
}

// TestDeadUpstream costs nothing after a few failures, is 503 unless it is
// optional, and is asked again later.
func TestDeadUpstream(t *testing.T) {
	for _, optional := range []bool{false, true} {
		p := newPeer(t, "none")
		u := p.upstream(t)
		p.hook = func(w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(500)
			return true
		}
		u.Optional = optional
		g := newGateway(t, openCache(t, "mem://"), serve.Options{Upstreams: []serve.Upstream{u}})
		want := 503
		if optional {
			want = 404
		}
		for i := range 100 {
			assert.Equal(t, want, g.get(t, fmt.Sprintf("/%032d.narinfo", i)).status)
		}
		assert.Less(t, p.all.Load(), int64(20))
		p.hook = nil
		info := corpusInfo(t, "none")
		if !optional { // a miss is remembered
			require.Eventually(t, func() bool {
				return g.get(t, "/"+layout.NarInfoKey(info.Path.HashPart())).status == 200
			}, 60*time.Second, 100*time.Millisecond)
		}
	}
}

// TestSlowUpstream does not hold up the next one for longer than its head
// start, and the first in order wins where both are quick.
func TestSlowUpstream(t *testing.T) {
	slow, quick := newPeer(t, "none"), newPeer(t, "none")
	upstreams := []serve.Upstream{slow.upstream(t), quick.upstream(t)}
	release := make(chan struct{})
	defer close(release)
	slow.hook = func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return false
	}
	g := newGateway(t, openCache(t, "mem://"), serve.Options{Upstreams: upstreams})
	info := corpusInfo(t, "none")
	got := g.get(t, "/"+layout.NarInfoKey(info.Path.HashPart()))
	assert.Equal(t, 200, got.status)
	assert.Positive(t, quick.all.Load())
}

// TestUpstreamNeedsKeys at construction.
func TestUpstreamNeedsKeys(t *testing.T) {
	_, err := serve.New(openCache(t, "mem://"), serve.Options{Upstreams: []serve.Upstream{{Cache: openCache(t, "mem://")}}})
	require.ErrorContains(t, err, "public keys")
}
