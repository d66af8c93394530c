package nar_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
)

// benchTree makes 2,000 files of 12 KB on average, or uses the directory that
// NIXS3_BENCH_TREE names, and returns it with its NAR.
func benchTree(b *testing.B) (path string, data []byte) {
	path = os.Getenv("NIXS3_BENCH_TREE")
	if path == "" {
		path = b.TempDir()
		for d := range 100 {
			dir := filepath.Join(path, fmt.Sprintf("dir-%02d", d))
			require.NoError(b, os.Mkdir(dir, 0o755))
			for f := range 20 {
				size := (d*20+f)*12%24_000 + 1
				writeFile(b, filepath.Join(dir, fmt.Sprintf("file-%02d", f)), strings.Repeat("x", size), 0o644)
			}
		}
	}
	return path, []byte(dump(b, path))
}

// measure runs f over and over, each time for the bytes of a NAR.
func measure(b *testing.B, name string, data []byte, f func() error) {
	b.Run(name, func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			require.NoError(b, f())
		}
	})
}

func BenchmarkDump(b *testing.B) {
	path, data := benchTree(b)
	measure(b, "discard", data, func() error { return nar.Dump(io.Discard, path) })
	measure(b, "sha256", data, func() error { return nar.Dump(sha256.New(), path) })
	measure(b, "fs.FS", data, func() error { return nar.DumpFS(io.Discard, os.DirFS(path), ".") })
}

func BenchmarkRead(b *testing.B) {
	_, data := benchTree(b)
	measure(b, "contents", data, func() error { return readAll(nar.NewReader(bytes.NewReader(data)), true) })
	measure(b, "contents, no Seek", data, func() error { return readAll(nar.NewReader(plain{bytes.NewReader(data)}), true) })
	measure(b, "headers", data, func() error { return readAll(nar.NewReader(bytes.NewReader(data)), false) })
	measure(b, "validate", data, func() error {
		v := nar.NewValidator(nil)
		if _, err := v.Write(data); err != nil {
			return err
		}
		return v.Close()
	})
	measure(b, "rewrite", data, func() error { return rewrite(bytes.NewReader(data), io.Discard) })
}

func BenchmarkListing(b *testing.B) {
	_, data := benchTree(b)
	var printed []byte
	measure(b, "print", data, func() error {
		l, err := nar.List(bytes.NewReader(data))
		if err == nil {
			printed, err = l.MarshalJSON()
		}
		return err
	})
	measure(b, "parse", printed, func() error { return new(nar.Listing).UnmarshalJSON(printed) })
}

func BenchmarkRestore(b *testing.B) {
	_, data := benchTree(b)
	for _, workers := range []int{0, 1, 2, 4} {
		b.Run(fmt.Sprintf("%d workers", workers), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "x")
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, nar.Restore(bytes.NewReader(data), path, nar.WithWorkers(workers)))
				b.StopTimer()
				require.NoError(b, os.RemoveAll(path))
				b.StartTimer()
			}
		})
	}
}
