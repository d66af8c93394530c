package nar_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
)

// seedNARs adds valid NARs, and some with a bit of damage, to a fuzz target.
func seedNARs(f *testing.F) {
	for _, data := range goldenNARs(f) {
		if len(data) > 10_000 {
			continue // slows the fuzzer down
		}
		f.Add(data)
		f.Add(data[:len(data)-1])
		damaged := bytes.Clone(data)
		damaged[len(damaged)/2] ^= 0xff
		f.Add(damaged)
	}
	for _, data := range []string{
		archive(nested(64)),
		archive(linkTree),
		archive(strs("(", "type", "regular", "contents") + "\xff\xff\xff\xff\xff\xff\xff\x7f"),
	} {
		f.Add([]byte(data))
	}
}

var linkTree = directory(
	entry("A", regular("1")),
	entry("a", symlink("../../..")),
	entry("a~nix~case~hack~1", directory(entry("x", executable("2")))),
)

// FuzzReader compares all ways to take a NAR in: each must come to the same
// verdict, without a panic and with memory in proportion.
func FuzzReader(f *testing.F) {
	seedNARs(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var headers []nar.Header
		r := nar.NewReader(bytes.NewReader(data))
		var want error
		for want == nil {
			var h *nar.Header
			if h, want = r.Next(); want == nil {
				require.LessOrEqual(t, h.ContentOffset, int64(len(data)))
				headers = append(headers, *h)
			}
		}
		runtime.ReadMemStats(&after)
		// The longest paths, each as long as all names above it.
		limit := uint64(1<<20 + 300*len(data))
		require.Less(t, after.TotalAlloc-before.TotalAlloc, limit)

		verdict := func(name string, err error, end int) {
			if want == io.EOF {
				require.NoError(t, err, name)
				return
			}
			var fe *nar.FormatError
			require.ErrorAs(t, err, &fe, name)
			require.LessOrEqual(t, fe.Offset, int64(end), name)
		}
		require.Equal(t, want == io.EOF, !isFormatError(want))
		verdict("plain", readAll(nar.NewReader(plain{bytes.NewReader(data)}), true), len(data))

		rest := bytes.NewReader(data)
		_, err := nar.List(rest)
		verdict("List", err, int(^uint(0)>>1))
		nrOfBytes := len(data) - rest.Len()
		if want != io.EOF {
			nrOfBytes = len(data)
		}

		var pushed []nar.Header
		v := nar.NewValidator(func(h *nar.Header) error {
			pushed = append(pushed, *h)
			return nil
		})
		for part := data[:nrOfBytes]; len(part) > 0; {
			n := min(1+len(part)%17, len(part))
			if _, err := v.Write(part[:n]); err != nil {
				break
			}
			part = part[n:]
		}
		verdict("Validator", v.Close(), len(data))
		if want == io.EOF {
			require.Equal(t, headers, pushed)
		}
	})
}

func isFormatError(err error) bool {
	_, ok := err.(*nar.FormatError)
	return ok
}

// FuzzRoundTrip writes what Reader reads: it must be the same bytes.
func FuzzRoundTrip(f *testing.F) {
	seedNARs(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		src := bytes.NewReader(data)
		var out bytes.Buffer
		if err := rewrite(plain{src}, &out); err != nil {
			return
		}
		assert.Equal(t, data[:len(data)-src.Len()], out.Bytes())
	})
}

// FuzzListing parses listings: what is accepted prints, parses again to the
// same and makes a file system that stands every use.
func FuzzListing(f *testing.F) {
	files, err := filepath.Glob("testdata/listings/*.ls")
	require.NoError(f, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Add([]byte(`{"root":{"entries":{"f":{"executable":false,"narOffset":96,"size":3,"type":"regular"}},"type":"directory"},"version":1}`))
	f.Add([]byte(`{"version":1,"x":[{}],"root":{"type":"symlink","target":"\u00e9\ud800"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var l nar.Listing
		if err := l.UnmarshalJSON(data); err != nil {
			return
		}
		require.True(t, json.Valid(data))
		printed, err := l.MarshalJSON()
		require.NoError(t, err)
		require.True(t, json.Valid(printed))
		var again nar.Listing
		require.NoError(t, again.UnmarshalJSON(printed))
		require.Equal(t, l, again)
		fsys := nar.NewFS(strings.NewReader(sample), &l)
		for path, n := range l.All() {
			require.Same(t, n, l.Lookup(path))
			fsys.Stat(path)
			fsys.ReadDir(path)
			fsys.ReadFile(path)
		}
	})
}

// FuzzRestore restores into a scratch directory: nothing may appear beside the
// target, a failure leaves nothing, a success dumps to the same bytes.
func FuzzRestore(f *testing.F) {
	seedNARs(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		inner := filepath.Join(dir, "inner")
		require.NoError(t, os.Mkdir(inner, 0o755))
		target := filepath.Join(inner, "x")
		opts := []nar.RestoreOption{nar.WithCaseHack(len(data)%2 == 1), nar.WithWorkers(len(data) % 3)}
		src := bytes.NewReader(data)
		err := nar.Restore(src, target, opts...)

		entries, rerr := os.ReadDir(dir)
		require.NoError(t, rerr)
		require.Len(t, entries, 1)
		entries, rerr = os.ReadDir(inner)
		require.NoError(t, rerr)
		if err != nil {
			require.Empty(t, entries)
			return
		}
		require.Len(t, entries, 1)
		assert.Equal(t, string(data[:len(data)-src.Len()]), dump(t, target, nar.WithCaseHack(len(data)%2 == 1)))
	})
}
