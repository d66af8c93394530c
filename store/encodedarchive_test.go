package store_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zlib"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/storetest"
	"example.com/nixs3/store/storetest/fakes3"
)

// encodedObject is an object as a server has it.
type encodedObject struct {
	body     []byte
	encoding string
}

// encodedCaches open a cache of some objects by each driver.
func encodedCaches(t *testing.T) map[string]func(t *testing.T, objects map[string]encodedObject) *store.Cache {
	s3 := storetest.NewS3(t, fakes3.Options{Buckets: []string{"cache"}})
	overHTTP := func(handler func(map[string]encodedObject) http.Handler) func(*testing.T, map[string]encodedObject) *store.Cache {
		return func(t *testing.T, objects map[string]encodedObject) *store.Cache {
			web := httptest.NewServer(handler(objects))
			t.Cleanup(web.Close)
			return open(t, web.URL)
		}
	}
	return map[string]func(t *testing.T, objects map[string]encodedObject) *store.Cache{
		"memory": func(t *testing.T, objects map[string]encodedObject) *store.Cache {
			b := memblob.New()
			for key, o := range objects {
				_, err := b.Put(t.Context(), key, bytes.NewReader(o.body), blob.PutOptions{ContentEncoding: o.encoding})
				require.NoError(t, err)
			}
			return newCache(t, b, store.Settings{})
		},
		"S3": func(t *testing.T, objects map[string]encodedObject) *store.Cache {
			for key, o := range objects {
				require.NoError(t, s3.PutObject("cache", key, o.body, http.Header{"Content-Encoding": {o.encoding}}))
			}
			return s3Cache(t, s3, "")
		},
		"HTTP": overHTTP(func(objects map[string]encodedObject) http.Handler { return encodedServer{objects, false} }),
		// One header for each encoding, and no length: as a server that
		// compresses while it sends.
		"HTTP in chunks": overHTTP(func(objects map[string]encodedObject) http.Handler { return encodedServer{objects, true} }),
	}
}

// encodedServer is a web server that names encodings.
type encodedServer struct {
	objects map[string]encodedObject
	chunked bool
}

func (s encodedServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o, ok := s.objects[strings.TrimPrefix(r.URL.Path, "/")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if !s.chunked {
		if o.encoding != "" {
			w.Header().Set("Content-Encoding", o.encoding)
		}
		if r.Header.Get("Range") == "" {
			w.Header().Set("Content-Length", fmt.Sprint(len(o.body)))
		}
		http.ServeContent(w, r, "", time.Unix(1, 0), bytes.NewReader(o.body))
		return
	}
	for token := range strings.SplitSeq(o.encoding, ",") {
		w.Header().Add("Content-Encoding", token)
	}
	_, _ = w.Write(o.body[:len(o.body)/2])
	_ = http.NewResponseController(w).Flush()
	_, _ = w.Write(o.body[len(o.body)/2:])
}

// encodedPath returns the objects of a path whose archive is stored with an
// encoding. claims names what FileSize and FileHash describe.
func encodedPath(t *testing.T, o object, compression, label string, applied []string, claims string) (*narinfo.NarInfo, map[string]encodedObject) {
	file := encode(t, compression, o.archive)
	stored := file
	for _, name := range applied {
		stored = encodeContent(t, name, stored)
	}
	info := &narinfo.NarInfo{PathInfo: *o.info, URL: "nar/x.nar", Compression: narinfo.Compression(compression)}
	if of := map[string][]byte{"object": stored, "archive": file}[claims]; of != nil {
		info.FileSize, info.FileHash = int64(len(of)), nixhash.Sum(nixhash.SHA256, of)
	}
	text, err := info.MarshalText()
	require.NoError(t, err)
	return info, map[string]encodedObject{
		layout.CacheInfoKey:                     {[]byte("StoreDir: /nix/store\n"), ""},
		layout.NarInfoKey(info.Path.HashPart()): {text, ""},
		info.URL:                                {stored, label},
	}
}

func encodeContent(t *testing.T, name string, data []byte) []byte {
	var buf bytes.Buffer
	switch name {
	case "deflate":
		w := zlib.NewWriter(&buf)
		_, err := w.Write(data)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	case "bare deflate":
		w, err := flate.NewWriter(&buf, 6)
		require.NoError(t, err)
		_, err = w.Write(data)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	default:
		return encode(t, name, data)
	}
	return buf.Bytes()
}

// TestEncodedArchives reads and copies archives whose objects have a
// Content-Encoding, over each driver, whichever bytes FileSize and FileHash
// describe.
func TestEncodedArchives(t *testing.T) {
	o := newObject(t, 1, []byte(strings.Repeat("text ", 1000)))
	caches := encodedCaches(t)
	for label, applied := range map[string][]string{
		"gzip":                       {"gzip"},
		"GZip":                       {"gzip"},
		"x-gzip":                     {"gzip"},
		"zstd":                       {"zstd"},
		"br":                         {"br"},
		"xz":                         {"xz"},
		"deflate":                    {"deflate"},
		" deflate ":                  {"bare deflate"},
		"gzip, zstd":                 {"gzip", "zstd"},
		"br,deflate,gzip":            {"br", "deflate", "gzip"},
		"gzip , , gzip":              {"gzip", "gzip"},
		"identity":                   nil,
		"identity, gzip":             {"gzip"},
		"aws-chunked":                nil,
		"gzip,aws-chunked":           {"gzip"},
		"zstd,br,zstd,br,zstd,br,br": {"zstd", "br", "zstd", "br", "zstd", "br", "br"},
	} {
		for _, compression := range []string{"none", "xz", "zstd"} {
			for _, claims := range []string{"object", "archive", "nothing"} {
				info, objects := encodedPath(t, o, compression, label, applied, claims)
				for where, cache := range caches {
					if where != "memory" && compression != "xz" {
						continue // the encodings are the same there
					}
					t.Run(fmt.Sprintf("%s/%q of %s, claims of the %s", where, label, compression, claims), func(t *testing.T) {
						c := cache(t, objects)
						require.NoError(t, readAll(t, c, info.Path))
						requireCopies(t, c, o)
					})
				}
				t.Run(fmt.Sprintf("damaged %q of %s, claims of the %s", label, compression, claims), func(t *testing.T) {
					broken := objects[info.URL]
					broken.body = bytes.Clone(broken.body)
					broken.body[len(broken.body)/2] ^= 1
					c := caches["memory"](t, map[string]encodedObject{
						layout.CacheInfoKey: objects[layout.CacheInfoKey], info.URL: broken,
						layout.NarInfoKey(info.Path.HashPart()): objects[layout.NarInfoKey(info.Path.HashPart())],
					})
					if claims != "nothing" {
						require.Error(t, readAll(t, c, info.Path))
					}
				})
			}
		}
	}
}

// requireCopies copies a path with either verification, as it is and with
// another compression.
func requireCopies(t *testing.T, c *store.Cache, o object) {
	t.Helper()
	for verify, to := range map[store.Verification]narinfo.Compression{store.VerifyContents: "gzip", store.VerifyFiles: ""} {
		dst := memblob.New()
		_, err := store.Copy(t.Context(), newCache(t, dst, store.Settings{Compression: to}), c, paths([]object{o}), store.CopyOptions{Verify: verify})
		require.NoError(t, err)
		require.Equal(t, 1, requireSound(t, dst).Paths)
	}
}

// TestWrongContentEncodings reads archives whose Content-Encoding was never
// applied, or which a proxy has decoded: tools take it from the extension of
// the key. An unknown encoding is an error that names it.
func TestWrongContentEncodings(t *testing.T) {
	o := newObject(t, 1, []byte(strings.Repeat("text ", 1000)))
	caches := encodedCaches(t)
	for _, compression := range []string{"none", "xz", "zstd", "gzip", "lz4", "br"} {
		for _, label := range []string{"gzip", "x-gzip", "xz", "zstd", "bzip2", "br", "x-xz"} {
			for _, claims := range []string{"archive", "nothing"} {
				if compression == "br" && label != "br" {
					continue // nothing in br data contradicts the label
				}
				for where, cache := range caches {
					if where != "memory" && compression != "xz" {
						continue
					}
					t.Run(fmt.Sprintf("%s/%q of bare %s, claims of the %s", where, label, compression, claims), func(t *testing.T) {
						info, objects := encodedPath(t, o, compression, label, nil, claims)
						c := cache(t, objects)
						require.NoError(t, readAll(t, c, info.Path))
						requireCopies(t, c, o)
					})
				}
			}
		}
	}
	for _, label := range []string{"utf-8", "binary", "gzip, rot13", strings.Repeat("gzip,", 9)} {
		for where, cache := range caches {
			t.Run(fmt.Sprintf("%s/%q", where, label), func(t *testing.T) {
				info, objects := encodedPath(t, o, "xz", label, nil, "archive")
				err := readAll(t, cache(t, objects), info.Path)
				require.ErrorContains(t, err, "Content-Encoding")
			})
		}
	}
}

// Parts of an archive are not read by ranges of an encoded object.
func TestPartsOfEncodedArchives(t *testing.T) {
	o := independent(t, 1, 1<<20)[0]
	tree, err := nar.List(bytes.NewReader(o.archive))
	require.NoError(t, err)
	listing, err := tree.MarshalJSON()
	require.NoError(t, err)
	for _, compression := range []string{"none", "zstd", "xz"} {
		for where, cache := range encodedCaches(t) {
			t.Run(where+"/"+compression, func(t *testing.T) {
				info, objects := encodedPath(t, o, compression, "gzip", []string{"gzip"}, "archive")
				objects[layout.ListingKey(info.Path.HashPart())] = encodedObject{listing, ""}
				a, err := cache(t, objects).UnverifiedFS(t.Context(), info.Path)
				require.NoError(t, err)
				defer a.Close()
				require.True(t, a.Verified)
			})
		}
	}
}
