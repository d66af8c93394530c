package verify

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/layout"
)

// file compares the stored file of an archive with what the narinfo says.
func (c *checker) file(ctx context.Context, r *result) {
	key := archiveName(r.info)
	file, err := c.cache.OpenCompressed(ctx, r.info)
	if err != nil {
		c.explain(ctx, r, key, err)
		return
	}
	defer file.Close()
	h := sha256.New()
	n, err := io.Copy(h, file)
	r.bytes += n
	if err != nil {
		r.err = &UncheckedError{key, err}
		return
	}
	got := nixhash.FromSHA256([32]byte(h.Sum(nil)))
	if r.FileSize > 0 && n != r.FileSize && c.encoded(ctx, key) {
		return // FileSize and FileHash are of the object, which reading has verified
	}
	switch claim := r.info.FileHash; {
	case claim.Algorithm() == nixhash.SHA256 && claim != got:
		r.find(ArchiveFileHash, key, fmt.Sprintf("expected %v, got %v", claim, got))
	case !named(key, got) && !named(key, r.info.NarHash):
		r.find(ArchiveName, key, fmt.Sprintf("the file has %v", got))
	case r.FileSize > 0 && n != r.FileSize:
		r.find(ArchiveSize, key, fmt.Sprintf("expected %d bytes, got %d", r.FileSize, n))
	}
}

// encoded reports whether an object has a Content-Encoding, so that its size is
// not that of its content.
func (c *checker) encoded(ctx context.Context, key string) bool {
	attrs, err := c.bucket.Head(ctx, key)
	return err == nil && codec.HasEncoding(attrs.ContentEncoding)
}

// named reports whether a key has a hash in its name, or none at all. Some
// caches name archives by the hash of the NAR.
func named(key string, h nixhash.Hash) bool {
	base, _, _ := strings.Cut(path.Base(key), ".")
	digest, err := nixhash.DecodeNix32(base)
	return err != nil || len(digest) != sha256.Size || base == h.Nix32()
}

// archiveName returns the key of an archive, or its URL where that is not one.
func archiveName(info *narinfo.NarInfo) string {
	if key, err := layout.ReferenceKey(info.URL); err == nil {
		return key
	}
	return info.URL
}

// contents decompresses an archive and compares it with all that is said of
// it. listing is the size of the path's listing, -1 where it has none.
func (c *checker) contents(ctx context.Context, r *result, listing int64) {
	tree, mentions, err := c.decompress(ctx, r, r.info)
	var mismatch *store.HashMismatchError
	if errors.As(err, &mismatch) && mismatch.Field == "FileHash" {
		// The contents may be right all the same.
		r.find(ArchiveFileHash, archiveName(r.info), fmt.Sprintf("expected %v, got %v", mismatch.Wanted, mismatch.Got))
		unclaimed := r.info.Clone()
		unclaimed.FileHash = nixhash.Hash{}
		tree, mentions, err = c.decompress(ctx, r, unclaimed)
	} else if err == nil && r.info.FileHash.IsZero() || err == nil && !named(archiveName(r.info), r.info.FileHash) {
		c.file(ctx, r) // its name is left to compare
	}
	if err != nil {
		c.explain(ctx, r, archiveName(r.info), err)
		return
	}
	for _, p := range mentions {
		r.Findings = append(r.Findings, Finding{
			Kind: ReferenceUndeclared, Key: r.Key, Path: r.Path,
			Detail: "it mentions the path with the hash part " + p.HashPart(),
		})
	}
	c.index(ctx, r)
	if tree == nil {
		return // too large to be listed
	}
	for member, id := range store.DebugFiles(tree) {
		if r.DebugInfo == nil {
			r.DebugInfo = map[string]string{}
		}
		r.DebugInfo[id] = member
	}
	c.listing(ctx, r, tree, listing)
}

// decompress reads a whole archive, and returns its listing and the paths that
// it mentions and does not refer to. The listing is nil where it would be too
// large.
func (c *checker) decompress(ctx context.Context, r *result, info *narinfo.NarInfo) (*nar.Listing, []storepath.Path, error) {
	lister := nar.NewListingWriter()
	err := c.pass(ctx, r, info, lister)
	var format *nar.FormatError
	var structure *structureError
	tree := lister.Listing()
	if errors.As(err, &structure) && !errors.As(err, &format) {
		tree = nil
		err = c.pass(ctx, r, info, nar.NewValidator(nil))
	}
	if err != nil || c.mentions == nil || !info.CA.IsZero() {
		return tree, nil, err
	}
	return tree, r.undeclared(info), nil
}

// structureError is what the reader of the NAR's structure fails with.
type structureError struct{ error }

func (e *structureError) Unwrap() error { return e.error }

// pass decompresses an archive and hands it to a reader of its structure.
func (c *checker) pass(ctx context.Context, r *result, info *narinfo.NarInfo, structure io.WriteCloser) error {
	archive, err := c.cache.OpenNAR(ctx, info)
	if err != nil {
		return err
	}
	defer archive.Close()
	sink := &tap{structure: structure}
	// A content address is of contents that nobody searched for references.
	if c.mentions != nil && info.CA.IsZero() {
		r.scanner = c.mentions.New()
		sink.scanner = r.scanner
	}
	n, err := io.Copy(sink, archive)
	r.bytes += n
	if err == nil {
		if err := structure.Close(); err != nil {
			return &structureError{err}
		}
	}
	return err
}

// tap is what an archive is written to.
type tap struct {
	structure io.Writer
	scanner   *storepath.Scanner // nil where nothing is looked for
}

func (t *tap) Write(p []byte) (int, error) {
	if _, err := t.structure.Write(p); err != nil {
		return 0, &structureError{err}
	}
	if t.scanner != nil {
		t.scanner.Write(p)
	}
	return len(p), nil
}

// undeclared returns what the scanner has found and the references lack.
func (r *result) undeclared(info *narinfo.NarInfo) []storepath.Path {
	return slices.DeleteFunc(r.scanner.Found(), func(p storepath.Path) bool {
		return slices.ContainsFunc(info.References, func(ref storepath.Path) bool { return ref.HashPart() == p.HashPart() })
	})
}

// explain makes a finding of why an archive could not be read, or an
// UncheckedError where that says nothing about the archive.
func (c *checker) explain(ctx context.Context, r *result, key string, err error) {
	var (
		hash   *store.HashMismatchError
		size   *store.SizeMismatchError
		server *blob.Error
	)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		r.find(ArchiveMissing, key, "")
	case errors.As(err, &server), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		r.err = &UncheckedError{key, err}
	case errors.As(err, &hash) && hash.Field == "NarHash":
		r.find(ArchiveNarHash, key, fmt.Sprintf("expected %v, got %v", hash.Wanted, hash.Got))
	case errors.As(err, &hash) && hash.Field == "CA":
		r.find(ArchiveContents, key, fmt.Sprintf("expected %v, got %v", hash.Wanted, hash.Got))
	case errors.As(err, &size) && size.Field == "NarSize":
		r.find(ArchiveNarSize, key, err.Error())
	case errors.As(err, &size):
		r.find(ArchiveSize, key, err.Error())
	default:
		// A file that ends too early may be the network's fault. Reading it
		// without decompressing it tells, and whether it is the file that was
		// once stored.
		if c.file(ctx, r); r.err == nil {
			r.find(ArchiveUnreadable, key, err.Error())
		}
	}
}
