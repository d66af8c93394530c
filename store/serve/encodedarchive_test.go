package serve_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/internal/lab"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/serve"
)

// encoded applies the encodings of a Content-Encoding to an object.
func encoded(t *testing.T, label string, data []byte) []byte {
	names, err := codec.ContentEncodings(label)
	require.NoError(t, err)
	for _, name := range names {
		var out bytes.Buffer
		enc, err := codec.NewWriter(name, &out, codec.WriterOptions{})
		require.NoError(t, err)
		_, err = enc.Write(data)
		require.NoError(t, errors.Join(err, enc.Close()))
		data = out.Bytes()
	}
	return data
}

// TestUpstreamEncodesArchives fetches an archive of an upstream that compresses
// what it sends, with or without a length.
func TestUpstreamEncodesArchives(t *testing.T) {
	info := corpusInfo(t, "full-xz")
	file, err := os.ReadFile(filepath.Join(lab.Cache(t, "full-xz"), filepath.FromSlash(info.URL)))
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		label string // Content-Encoding
		body  []byte
		flush bool
	}{
		"gzip":             {"gzip", encoded(t, "gzip", file), false},
		"x-gzip in chunks": {"x-gzip", encoded(t, "gzip", file), true},
		"two":              {"gzip, br", encoded(t, "gzip, br", file), false},
		"its compression":  {"xz", file, false},
		"nothing, chunks":  {"", file, true},
		"label in chunks":  {"xz", file, true},
	} {
		for _, known := range []bool{true, false} { // whether its narinfo was asked for
			t.Run(name, func(t *testing.T) {
				p := newPeer(t, "full-xz")
				p.hook = func(w http.ResponseWriter, r *http.Request) bool {
					if r.URL.Path != "/"+info.URL {
						return false
					}
					if tt.label != "" {
						w.Header().Set("Content-Encoding", tt.label)
					}
					if !tt.flush {
						w.Header().Set("Content-Length", fmt.Sprint(len(tt.body)))
					} else {
						_ = http.NewResponseController(w).Flush()
					}
					if r.Method == http.MethodGet {
						_, _ = w.Write(tt.body)
					}
					return true
				}
				g := newGateway(t, openCache(t, "mem://"), serve.Options{Upstreams: []serve.Upstream{p.upstream(t)}})
				if known {
					require.Equal(t, 200, g.get(t, "/"+layout.NarInfoKey(info.Path.HashPart())).status)
					got := g.get(t, "/"+info.URL)
					require.Equal(t, 200, got.status)
					require.Equal(t, string(file), got.body)
					require.Empty(t, got.header.Get("Content-Encoding"))
					return
				}
				if tt.flush {
					return // an archive of an unknown size is not passed on
				}
				got := g.get(t, "/"+info.URL)
				require.Equal(t, string(tt.body), got.body)
				if tt.label != "xz" {
					require.Equal(t, tt.label, got.header.Get("Content-Encoding"))
				}
			})
		}
	}
}

// TestPushEncodedArchives pushes archives with a Content-Encoding, which the
// gateway removes.
func TestPushEncodedArchives(t *testing.T) {
	for _, label := range []string{"gzip", "X-GZIP", "zstd", "gzip, br", "identity", " gzip , identity"} {
		t.Run(label, func(t *testing.T) {
			g, fault := newPushGateway(t, serve.Options{})
			s := newSample(t, "a", strings.Repeat("text ", 1000), "xz")
			put := g.do(t, "PUT", "/"+s.info.URL, bytes.NewReader(encoded(t, label, s.file)), "Content-Encoding: "+label)
			require.Equal(t, 201, put.status, put.body)
			require.Equal(t, 201, g.do(t, "PUT", "/"+s.key(), strings.NewReader(s.text(t))).status)
			requireSound(t, fault)
		})
	}
	for label, status := range map[string]int{"rot13": 415, "gzip": 400, strings.Repeat("gzip,", 9): 415} {
		g, _ := newPushGateway(t, serve.Options{})
		s := newSample(t, "a", "text", "none")
		require.Equal(t, status, g.do(t, "PUT", "/"+s.info.URL, strings.NewReader("not gzip at all"), "Content-Encoding: "+label).status, label)
	}
}
