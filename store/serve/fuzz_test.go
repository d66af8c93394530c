package serve

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/layout"
)

func FuzzRange(f *testing.F) {
	for _, header := range []string{"bytes=0-", "bytes=-5", "bytes=3-9", "bytes=9-3", "bytes=0-0,2-", "bytes=99999999999999999999-", "x"} {
		f.Add(header, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		part, err := parseRange(header, size)
		if err != nil || part == nil {
			return
		}
		require.Positive(t, part.length)
		require.GreaterOrEqual(t, part.offset, int64(0))
		require.LessOrEqual(t, part.offset, size-part.length)
	})
}

func FuzzRoute(f *testing.F) {
	for _, path := range []string{"/nix-cache-info", "/nar/x.nar?hash=y", "/nar/%2e%2e/x", "/nixs3/x", "//nar/x", "/log/00000000000000000000000000000000-x.drv"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		got := route(u)
		require.NotEqual(t, layout.Control, got.kind)
		if got.kind == layout.Other {
			require.Empty(t, got.key)
			return
		}
		require.False(t, strings.HasPrefix(got.key, "/"))
		for part := range strings.SplitSeq(got.key, "/") {
			require.NotContains(t, []string{"", ".", ".."}, part)
		}
		require.NotContains(t, got.key+got.ref, "\n")
	})
}
