package serve_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
	"example.com/nixs3/store/serve"
)

// newPageGateway serves two paths, one with odd files.
func newPageGateway(t testing.TB) (g *gateway, leaf, user storepath.Path) {
	t.Helper()
	tree := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(tree, "bin"), 0o755))
	for name, text := range map[string]string{
		"bin/hello": "#!/bin/sh\necho hello\n", "page.html": "<script>alert(1)</script>", "binary": "\x00\x01",
		"large": strings.Repeat("x", 2<<20), "a b%c?d#e&<i>": "odd",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(tree, name), []byte(text), 0o644))
	}
	require.NoError(t, os.Symlink("hello", filepath.Join(tree, "bin/hi")))
	c := openCache(t, "mem://?write-nar-listing=true")
	drv, err := storepath.ParseBase(strings.Repeat("0", 32) + "-leaf-1.0.drv")
	require.NoError(t, err)
	require.NoError(t, c.PutLog(t.Context(), drv, strings.NewReader("the log of leaf\n")))
	a, err := store.AddPath(t.Context(), c, tree, store.AddPathOptions{Name: "leaf-1.0"})
	require.NoError(t, err)
	a.Deriver = drv
	text, err := a.MarshalText()
	require.NoError(t, err)
	_, err = c.Bucket().Put(t.Context(), layout.NarInfoKey(a.Path.HashPart()), strings.NewReader(string(text)), blob.PutOptions{})
	require.NoError(t, err)
	b, err := store.AddPath(t.Context(), c, tree, store.AddPathOptions{Name: "user-1.0", References: []storepath.Path{a.Path}})
	require.NoError(t, err)
	return newGateway(t, c, serve.Options{Push: &serve.Push{}, Page: &serve.Page{Title: "Our cache", PublicKeys: labKeys(t)}}), a.Path, b.Path
}

func TestPage(t *testing.T) {
	g, leaf, user := newPageGateway(t)
	for path, says := range map[string][]string{
		"/":                                                       {"Our cache", "extra-substituters = " + g.URL, "lab-cache-1:", "machine 127.0.0.1 login nix password"},
		"/-/search?q=USER":                                        {user.String()},
		"/-/search?q=nothing":                                     {"Nothing found"},
		"/-/search?q=<script>":                                    {"&lt;script&gt;"},
		"/-/path/" + user.String():                                {leaf.String(), "2 paths", "/nix/store/" + user.String(), "Signatures"},
		"/-/path/" + leaf.String():                                {"Referrers", user.String()},
		"/-/path/" + leaf.String() + "/":                          {"bin/", "page.html", "2.0 MiB", "a%20b%25c%3Fd%23e&amp;%3Ci%3E"},
		"/-/path/" + leaf.String() + "/bin":                       {"hello", "symlink"},
		"/-/path/" + leaf.String() + "/bin/hi":                    {"A symbolic link to <code>hello</code>"},
		"/-/path/" + leaf.String() + "/bin/hello":                 {"echo hello"},
		"/-/path/" + leaf.String() + "/page.html":                 {"&lt;script&gt;alert(1)"},
		"/-/path/" + leaf.String() + "/binary":                    {"It is not text"},
		"/-/path/" + leaf.String() + "/large":                     {"too large"},
		"/-/path/" + leaf.String() + "/a%20b%25c%3Fd%23e&%3Ci%3E": {"odd"},
	} {
		if strings.Contains(path, leaf.String()) { // the referrers are known after a search
			g.get(t, "/-/search?q=x")
		}
		got := g.get(t, path)
		require.Equal(t, 200, got.status, path)
		for _, text := range says {
			assert.Contains(t, got.body, text, path)
		}
		assert.NotContains(t, got.body, "<script", path)
		assert.Contains(t, got.header.Get("Content-Security-Policy"), "default-src 'none'", path)
		assert.Equal(t, got.header.Get("Content-Length"), g.do(t, "HEAD", path, nil).header.Get("Content-Length"), path)
	}
	for _, path := range []string{"/-/path/x", "/-/path/" + strings.Repeat("0", 32) + "-x", "/-/path/" + leaf.String() + "/absent", "/-/", "/-/path/../x",
		"/-/path/" + leaf.HashPart() + "-other"} {
		assert.Equal(t, 404, g.get(t, path).status, path)
	}
	for _, query := range []string{leaf.HashPart(), leaf.String(), "/nix/store/" + leaf.String()} {
		got := g.get(t, "/-/search?q="+query)
		assert.Equal(t, 303, got.status)
		assert.Equal(t, "/-/path/"+leaf.String(), got.header.Get("Location"))
	}
}
