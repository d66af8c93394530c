package gc_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/gc"
)

func TestRoots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache, b := newCache(t)
		add(t, cache, "a", "b")
		set := time.Now()
		want := []gc.Root{
			{Name: "ci/main/1", Paths: paths("a"), Set: set, Note: "text"},
			{Name: "ci/main/2", Paths: paths("b", "a"), Set: set, Expires: set.Add(30 * day).UTC()},
			{Name: "hosts/web1", Paths: paths("b"), Set: set},
		}
		for _, r := range slices.Backward(want) {
			require.NoError(t, gc.SetRoot(t.Context(), cache, r))
		}
		var got []gc.Root
		for r, err := range gc.Roots(t.Context(), cache) {
			require.NoError(t, err)
			r.Set = r.Set.Local()
			got = append(got, r)
		}
		for i := range want {
			assert.True(t, want[i].Set.Equal(got[i].Set))
			want[i].Set, got[i].Set = time.Time{}, time.Time{}
		}
		assert.Equal(t, want, got)
		assert.Contains(t, keys(t, b, ""), "nixs3/roots/ci/main/1")
		require.NoError(t, gc.RemoveRoot(t.Context(), cache, "ci/main/1"))
		assert.ErrorIs(t, gc.RemoveRoot(t.Context(), cache, "ci/main/1"), store.ErrNotFound)
		assert.Equal(t, []string{"nixs3/roots/ci/main/2", "nixs3/roots/hosts/web1"}, keys(t, b, "nixs3/roots/"))
		assert.Empty(t, keys(t, b, "nixs3/leases/"))
	})
}

func TestSetRootRefuses(t *testing.T) {
	cache, _ := newCache(t)
	add(t, cache, "a")
	require.NoError(t, gc.SetRoot(t.Context(), cache, gc.Root{Name: "group/member", Paths: paths("a")}))
	for _, tt := range []struct {
		name string
		root gc.Root
		want string
	}{
		{"no name", gc.Root{Paths: paths("a")}, "it is empty"},
		{"a long name", gc.Root{Name: strings.Repeat("x", 513), Paths: paths("a")}, "it has 513 bytes, at most 512 are allowed"},
		{"a name with an empty element", gc.Root{Name: "a//b", Paths: paths("a")}, "expected elements between single slashes"},
		{"a name that begins with a slash", gc.Root{Name: "/a", Paths: paths("a")}, "expected elements between single slashes"},
		{"a name that ends with a slash", gc.Root{Name: "a/", Paths: paths("a")}, "expected elements between single slashes"},
		{"a name that leads up", gc.Root{Name: "../x", Paths: paths("a")}, "expected elements between single slashes"},
		{"a backslash", gc.Root{Name: `a\b`, Paths: paths("a")}, "expected elements between single slashes"},
		{"a control character", gc.Root{Name: "a\nb", Paths: paths("a")}, "cannot be printed"},
		{"a name that is not UTF-8", gc.Root{Name: "a\xff", Paths: paths("a")}, "cannot be printed"},
		{"the name of a group", gc.Root{Name: "group", Paths: paths("a")}, `it is the group of the root "group/member"`},
		{"a group that is a root", gc.Root{Name: "group/member/x", Paths: paths("a")}, `its group "group/member" is a root`},
		{"no paths", gc.Root{Name: "x"}, "expected at least one store path"},
		{"a path that is missing", gc.Root{Name: "x", Paths: []storepath.Path{{}}}, "a store path is missing"},
		{"a path that is not there", gc.Root{Name: "x", Paths: paths("a", "b")}, path("b").String() + " is not in mem://"},
		{"an end in the past", gc.Root{Name: "x", Paths: paths("a"), Expires: time.Now().Add(-time.Hour)}, "expected a time to expire in the future"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			assert.ErrorContains(t, gc.SetRoot(t.Context(), cache, tt.root), tt.want)
		})
	}
	assert.ErrorIs(t, gc.SetRoot(t.Context(), cache, gc.Root{Name: "x", Paths: paths("b")}), store.ErrNotFound)
}

// A root that cannot be read might keep anything.
func TestMalformedRoot(t *testing.T) {
	for _, text := range []string{"", "{", `{}`, `{"paths":[]}`, `{"paths":["x"]}`, `{"paths":[""]}`, `[]`,
		`{"paths":["` + path("a").String() + `"],"ttl":5}`, `{"paths":["` + path("a").String() + `"],"expires":"2030-01-01T00:00:00Z","ttl":-5}`} {
		t.Run(text, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cache, b := newCache(t)
				add(t, cache, "a")
				require.NoError(t, gc.SetRoot(t.Context(), cache, gc.Root{Name: "good", Paths: paths("a")}))
				_, err := b.Put(t.Context(), "nixs3/roots/bad", strings.NewReader(text), blob.PutOptions{})
				require.NoError(t, err)
				var good, bad []string
				for r, err := range gc.Roots(t.Context(), cache) {
					if err != nil {
						assert.ErrorIs(t, err, gc.ErrBadRoot)
						bad = append(bad, r.Name)
					} else {
						good = append(good, r.Name)
					}
				}
				assert.Equal(t, []string{"good"}, good)
				assert.Equal(t, []string{"bad"}, bad)
				time.Sleep(100 * day)
				_, err = gc.Collect(t.Context(), cache, gc.Options{})
				assert.ErrorIs(t, err, gc.ErrBadRoot)
				assert.ErrorContains(t, err, "nixs3/roots/bad")
				assert.Equal(t, "a", names(t, b))
				require.NoError(t, gc.RemoveRoot(t.Context(), cache, "bad"))
				_, err = gc.Collect(t.Context(), cache, gc.Options{})
				assert.NoError(t, err, "the lock was given back")
			})
		})
	}
}

func TestExpiredRoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache, b := newCache(t)
		add(t, cache, "a", "b")
		require.NoError(t, gc.SetRoot(t.Context(), cache, gc.Root{Name: "a", Paths: paths("a"), Expires: time.Now().Add(5 * day)}))
		require.NoError(t, gc.SetRoot(t.Context(), cache, gc.Root{Name: "b", Paths: paths("b"), Expires: time.Now().Add(50 * day)}))
		time.Sleep(4 * day)
		_, err := gc.Collect(t.Context(), cache, gc.Options{})
		require.NoError(t, err)
		assert.Equal(t, "a b", names(t, b))
		time.Sleep(day)
		report, err := gc.Collect(t.Context(), cache, gc.Options{})
		require.NoError(t, err)
		assert.Equal(t, "b", names(t, b))
		assert.Equal(t, []string{"a"}, report.RootsRemoved)
		assert.Equal(t, []string{"nixs3/roots/b"}, keys(t, b, "nixs3/roots/"))
	})
}

func TestKeepNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache, b := newCache(t)
		for i, name := range []string{"a", "b", "c", "d"} {
			add(t, cache, name)
			time.Sleep(time.Minute)
			root := []string{"ci/main/9", "ci/main/10", "ci/main/11", "ci/other/1"}[i]
			require.NoError(t, gc.SetRoot(t.Context(), cache, gc.Root{Name: root, Paths: paths(name)}))
		}
		time.Sleep(2 * day)
		opts := gc.Options{Keep: map[string]int{"ci/main": 2, "none": 1}}
		opts.DryRun = true
		report, err := gc.Collect(t.Context(), cache, opts)
		require.NoError(t, err)
		assert.Equal(t, 1, report.Gone.Paths)
		assert.Len(t, keys(t, b, "nixs3/roots/"), 4, "a dry run removes no root")
		opts.DryRun = false
		report, err = gc.Collect(t.Context(), cache, opts)
		require.NoError(t, err)
		assert.Equal(t, []string{"ci/main/9"}, report.RootsRemoved)
		assert.Equal(t, "b c d", names(t, b))
		_, err = gc.Collect(t.Context(), cache, gc.Options{Keep: map[string]int{"ci": 0}, Roots: paths("c")})
		require.NoError(t, err)
		assert.Equal(t, "c", names(t, b))
	})
}

func TestReadPaths(t *testing.T) {
	a, b := path("a"), path("b")
	full := "/nix/store/" + a.String()
	for _, tt := range []struct {
		name, text string
		want       []storepath.Path
	}{
		{"empty", "", nil},
		{"full paths", full + "\n/nix/store/" + b.String() + "\n", []storepath.Path{a, b}},
		{"no newline at the end", full, []storepath.Path{a}},
		{"base names, comments and blanks", "# roots\n\n  " + a.String() + "  \r\n" + b.String(), []storepath.Path{a, b}},
		{"files in store paths", full + "/bin/x\n", []storepath.Path{a}},
		{"the same twice", full + "\n" + full + "\n", []storepath.Path{a}},
		{"print-roots", "/nix/var/nix/profiles/system-1-link -> " + full + "\n/proc/12/maps -> /nix/store/" + b.String() + "/lib/x.so\n{censored} -> " + full + "\n",
			[]storepath.Path{a, b}},
		{"a link with an arrow in its name", "/home/x -> y -> " + full + "\n", []storepath.Path{a}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, compression := range []string{"none", "xz", "zstd", "gzip", "bzip2"} {
				var buf bytes.Buffer
				w, err := codec.NewWriter(compression, &buf, codec.WriterOptions{})
				if err != nil {
					continue // is only read
				}
				_, err = w.Write([]byte(tt.text))
				require.NoError(t, errors.Join(err, w.Close()))
				got, err := gc.ReadPaths(&buf, "/nix/store")
				require.NoError(t, err, compression)
				assert.Equal(t, tt.want, got, compression)
			}
		})
	}
	for _, text := range []string{"x", full + "\nnonsense", "/gnu/store/" + a.String(), full + "\n/nix/store", "a -> b", strings.Repeat("x", 70<<10)} {
		_, err := gc.ReadPaths(strings.NewReader(text), "/nix/store")
		assert.Error(t, err, "%.100q", text)
	}
}

func FuzzReadPaths(f *testing.F) {
	f.Add([]byte("/nix/store/" + path("a").String() + "\n# x\nlink -> /nix/store/" + path("b").String()))
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := gc.ReadPaths(bytes.NewReader(data), "/nix/store")
		if err != nil {
			return
		}
		for _, p := range found {
			require.NoError(t, storepath.ValidateHashPart(p.HashPart()))
		}
	})
}
