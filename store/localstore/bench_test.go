package localstore_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo/nixhash"
)

func BenchmarkPathInfo(b *testing.B) {
	f := newFixture(b)
	f.write(insert, full(0), someHash, 120)
	for n := 1; n <= 20; n++ {
		f.write(insert, full(n), someHash, 120)
		f.write("INSERT INTO Refs VALUES (1, ?)", n+1)
	}
	s := f.open()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.PathInfo(b.Context(), path(0)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNAR(b *testing.B) {
	f := newFixture(b)
	dir := filepath.Join(f.root, full(0))
	require.NoError(b, os.Mkdir(dir, 0o755))
	for n := range 500 {
		require.NoError(b, os.WriteFile(filepath.Join(dir, fmt.Sprint(n)), make([]byte, 50_000), 0o444))
	}
	h := nixhash.New(nixhash.SHA256)
	size := &counter{}
	require.NoError(b, nar.Dump(io.MultiWriter(h, size), dir))
	f.write(insert, full(0), h.Digest().Base16(), size.n)
	s := f.open()
	b.SetBytes(size.n)
	b.ReportAllocs()
	for b.Loop() {
		r, err := s.NAR(b.Context(), path(0))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
