package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/internal/flow"
	"example.com/nixs3/store/internal/naming"
)

// AddPathOptions are the options of AddPath.
type AddPathOptions struct {
	// Name of the store object; "" means the last element of the path.
	Name string

	// Method is storepath.MethodNAR, also where it is zero, for any file or
	// tree, as "nix store add-path"; or storepath.MethodFlat for the bytes of
	// one file, as "nix store add-file".
	Method storepath.Method

	// References that the contents are known to have.
	References []storepath.Path

	// FindReferences are paths whose hash parts AddPath looks for in the
	// contents, as Nix does after a build. It adds those that it finds to
	// References. It does not look into compressed contents. MethodFlat allows
	// no references, so with it AddPath fails when it finds any.
	FindReferences []storepath.Path

	// Filter leaves out the entries for which it returns false; see
	// nar.WithFilter.
	Filter func(path string, d fs.DirEntry) bool

	AddOptions
}

// Adder is the interface that AddPath requires of the store that it adds to.
// Every BinaryCacheStore implements it.
type Adder interface {
	StoreDir() storepath.Dir
	Add(ctx context.Context, info *narinfo.PathInfo, archive io.Reader, opts AddOptions) (*narinfo.NarInfo, error)
}

// AddPath adds a file or a tree of the disk under the content-addressed store
// path that Nix gives it. It reads the tree once for its hash, and again to store
// it if the store does not have it. If the tree changes in between, AddPath fails
// and publishes nothing.
func AddPath(ctx context.Context, dst Adder, path string, opts AddPathOptions) (*narinfo.NarInfo, error) {
	if opts.Name == "" {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		opts.Name = filepath.Base(abs)
	}
	switch opts.Method {
	case 0, storepath.MethodNAR, storepath.MethodFlat:
	default:
		return nil, fmt.Errorf("adding %s: expected the method nar or flat, got %v", path, opts.Method)
	}
	archive, err := newDisk(path, opts.Method == storepath.MethodFlat, opts.Filter)
	if err != nil {
		return nil, err
	}
	info, err := archive.pathInfo(ctx, dst.StoreDir(), opts)
	if err != nil {
		return nil, fmt.Errorf("adding %s: %w", path, err)
	}
	r := nar.NewDumpReader(ctx, archive.dump)
	defer r.Close()
	return dst.Add(ctx, info, r, opts.AddOptions)
}

// disk is a file or a tree of the disk as an archive.
type disk struct {
	flat bool
	path string
	opts []nar.DumpOption
}

func newDisk(path string, flat bool, filter func(string, fs.DirEntry) bool) (*disk, error) {
	d := &disk{flat: flat, path: path}
	if filter != nil {
		d.opts = append(d.opts, nar.WithFilter(filter))
	}
	st, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if flat && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("adding %s by the flat method: expected a regular file, got %s", path, st.Mode().Type())
	}
	return d, nil
}

// dump writes the archive. A flat file loses its executable bit, which its
// content address does not cover.
func (d *disk) dump(w io.Writer) error {
	if !d.flat {
		return nar.Dump(w, d.path, d.opts...)
	}
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	nw := nar.NewWriter(w)
	if err := nw.WriteHeader(&nar.Header{Type: nar.TypeRegular, Size: st.Size()}); err != nil {
		return err
	}
	if _, err := nw.ReadFrom(f); err != nil {
		return err
	}
	return nw.Close()
}

// pathInfo reads the archive and computes its description.
func (d *disk) pathInfo(ctx context.Context, dir storepath.Dir, opts AddPathOptions) (*narinfo.PathInfo, error) {
	info := &narinfo.PathInfo{StoreDir: dir}
	info.CA.Method = storepath.MethodNAR
	h, flat := sha256.New(), nixhash.New(nixhash.SHA256)
	archive := &narSum{claims: info, h: h}
	scanner := storepath.NewScanner(opts.FindReferences)
	err := flow.Spread(ctx, d.dump, func(r io.Reader) error {
		_, err := io.Copy(io.MultiWriter(archive, scanner), r)
		return err
	})
	if err != nil {
		return nil, err
	}
	info.References = append(slices.Clone(opts.References), scanner.Found()...)
	slices.SortFunc(info.References, storepath.Path.Compare)
	info.References = slices.Compact(info.References)
	info.NarHash, info.NarSize = sha256Hash(h), archive.n
	info.CA.Hash = info.NarHash
	if d.flat {
		info.CA.Method = storepath.MethodFlat
		f, err := os.Open(d.path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if _, err := io.Copy(flat, f); err != nil {
			return nil, err
		}
		info.CA.Hash = flat.Digest()
	}
	info.Path, err = dir.FromContentAddress(opts.Name, info.CA, storepath.References{Others: info.References})
	return info, err
}

// Restore fetches a path from a source and creates it on disk at dest, which must
// not exist. It verifies the archive, and removes everything it has created if
// the archive is wrong or anything else fails.
func Restore(ctx context.Context, src Source, p storepath.Path, dest string, opts ...nar.RestoreOption) error {
	r, err := src.NAR(ctx, p)
	if err != nil {
		return err
	}
	defer r.Close()
	// The result of the verification comes after the last byte.
	if err := nar.Restore(r, dest, append(slices.Clone(opts), nar.WithWholeReader())...); err != nil {
		return naming.Error("restoring "+p.String(), p.String(), err)
	}
	return nil
}
