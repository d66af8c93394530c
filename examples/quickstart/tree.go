package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"example.com/nixs3/nar"
)

// count returns the number of files in a tree and their total size.
func count(tree string) (files int, size int64, err error) {
	err = filepath.WalkDir(tree, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files, size = files+1, size+info.Size()
		return nil
	})
	return files, size, err
}

// sameTree compares the NARs of two trees: names, contents, link targets and
// execute bits.
func sameTree(ctx context.Context, a, b string) error {
	ra, rb := dump(ctx, a), dump(ctx, b)
	defer ra.Close()
	defer rb.Close()
	var bufA, bufB [64 << 10]byte
	for offset := int64(0); ; {
		na, errA := io.ReadFull(ra, bufA[:])
		nb, errB := io.ReadFull(rb, bufB[:])
		for _, err := range []error{errA, errB} {
			if err != nil && !ended(err) {
				return err
			}
		}
		if !bytes.Equal(bufA[:na], bufB[:nb]) {
			return fmt.Errorf("%s and %s differ in the %d bytes after offset %d of their NARs", a, b, max(na, nb), offset)
		}
		if errA != nil { // both have ended, since the pieces are equal
			return nil
		}
		offset += int64(na)
	}
}

func dump(ctx context.Context, tree string) *nar.DumpReader {
	return nar.NewDumpReader(ctx, func(w io.Writer) error { return nar.Dump(w, tree) })
}

func ended(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }
