package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/layout"
)

// CheckOptions are the deviations that CheckCache permits.
type CheckOptions struct {
	// Elsewhere reports whether a path may be referred to although it is not in
	// the cache.
	Elsewhere func(storepath.Path) bool

	// Uploads permits unfinished uploads, as a killed process leaves them.
	Uploads bool
}

// CheckReport counts what CheckCache has read.
type CheckReport struct {
	Paths        int // visible
	Archives     int // stored, referred to or not
	Unreferenced int // archives without a narinfo
}

// CheckCache reads a whole binary cache and checks that
//
//   - every narinfo can be read and is that of its key,
//   - its archive is there, whole, and has the hashes, sizes and structure that
//     the narinfo says, and the contents that the path's content address says, in
//     the form with or without the offsets of self-references. Git ones are not
//     checked, nor are archives over 64 MiB that mention their own path,
//   - every path that it refers to is visible,
//   - no archive, referred to or not, has other bytes than its name says,
//   - no object is larger than readers accept one of its kind,
//   - and no upload was left unfinished.
//
// The error joins all faults. CheckCache shares no code with package store, so
// that it can judge it.
func CheckCache(ctx context.Context, b blob.Bucket, opts CheckOptions) (CheckReport, error) {
	c := checker{ctx: ctx, b: b, opts: opts, sizes: map[string]int64{}, infos: map[string]*narinfo.NarInfo{}}
	if err := c.list(); err != nil {
		return c.report, err
	}
	for key, size := range c.sizes {
		if limit := layout.KindOf(key).Limit(); limit > 0 && size > limit {
			c.note(key, fmt.Errorf("has %d bytes, expected at most %d", size, limit))
		}
		if hashPart, ok := layout.ParseNarInfoKey(key); ok {
			c.note(key, c.readInfo(key, hashPart))
		}
	}
	used := map[string]bool{}
	for key, info := range c.infos {
		c.note(key, c.references(info))
		c.note(key, c.archive(info))
		used[info.URL] = true
	}
	for key := range c.sizes {
		if layout.KindOf(key) == layout.Archive {
			c.report.Archives++
			if !used[key] {
				c.report.Unreferenced++
			}
			c.note(key, c.name(key))
		}
	}
	c.note("uploads", c.uploads())
	c.report.Paths = len(c.infos)
	return c.report, errors.Join(c.errs...)
}

type checker struct {
	ctx    context.Context
	b      blob.Bucket
	opts   CheckOptions
	report CheckReport
	sizes  map[string]int64
	infos  map[string]*narinfo.NarInfo // by key
	errs   []error
}

func (c *checker) note(key string, err error) {
	if err != nil {
		c.errs = append(c.errs, fmt.Errorf("%s: %w", key, err))
	}
}

func (c *checker) list() error {
	for attrs, err := range c.b.List(c.ctx, blob.ListOptions{}) {
		if err != nil {
			return err
		}
		c.sizes[attrs.Key] = attrs.Size
	}
	return nil
}

func (c *checker) readInfo(key, hashPart string) error {
	text, attrs, err := blob.ReadAll(c.ctx, c.b, key, layout.NarInfo.Limit())
	if err != nil {
		return err
	}
	if text, err = codec.DecodeContent(attrs.ContentEncoding, text, layout.NarInfo.Limit()); err != nil {
		return err
	}
	info, err := narinfo.Parse(text)
	if err != nil {
		return err
	}
	if info.Path.HashPart() != hashPart {
		return fmt.Errorf("is the narinfo of %s", info.Path)
	}
	c.infos[key] = info
	return info.Validate()
}

func (c *checker) references(info *narinfo.NarInfo) error {
	var errs []error
	for _, ref := range info.References {
		there := c.infos[layout.NarInfoKey(ref.HashPart())]
		if there != nil && there.Path == ref || c.opts.Elsewhere != nil && c.opts.Elsewhere(ref) {
			continue
		}
		errs = append(errs, fmt.Errorf("visible without its reference %s", ref))
	}
	return errors.Join(errs...)
}

// archive reads the archive of a narinfo and compares it with every claim.
func (c *checker) archive(info *narinfo.NarInfo) error {
	size, ok := c.sizes[info.URL]
	if !ok {
		return fmt.Errorf("its archive %s is missing", info.URL)
	}
	if attrs, err := c.b.Head(c.ctx, info.URL); err != nil {
		return err
	} else if info.FileSize != 0 && info.FileSize != size && !codec.HasEncoding(attrs.ContentEncoding) {
		return fmt.Errorf("its archive %s has %d bytes, FileSize says %d", info.URL, size, info.FileSize)
	}
	if err := c.contents(info); err != nil {
		return fmt.Errorf("its archive %s: %w", info.URL, err)
	}
	obj, err := c.b.Get(c.ctx, info.URL, blob.GetOptions{})
	if err != nil {
		return err
	}
	defer obj.Body.Close()
	object, file, archive, structure := newSum(), newSum(), newSum(), nar.NewValidator(nil)
	content, err := contentOf(obj, object)
	if err != nil {
		return err
	}
	defer content.Close()
	body := io.TeeReader(content, file)
	r, err := codec.NewReader(string(info.Compression), body, codec.ReaderOptions{MaxSize: info.NarSize})
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.MultiWriter(archive, structure), r)
	if err == nil {
		err = structure.Close()
	}
	if err == nil {
		_, err = io.Copy(io.Discard, body)
	}
	if object.n == info.FileSize {
		file = object // some writers describe the object, not the archive in it
	}
	switch {
	case err != nil:
		return fmt.Errorf("its archive %s: %w", info.URL, err)
	case archive.n != info.NarSize:
		return fmt.Errorf("its archive %s has %d bytes, NarSize says %d", info.URL, archive.n, info.NarSize)
	case archive.digest() != info.NarHash:
		return fmt.Errorf("its archive %s has another NarHash", info.URL)
	case info.FileSize != 0 && info.FileSize != file.n:
		return fmt.Errorf("its archive %s has %d bytes, FileSize says %d", info.URL, file.n, info.FileSize)
	case !info.FileHash.IsZero() && file.digest() != info.FileHash:
		return fmt.Errorf("its archive %s has another FileHash", info.URL)
	}
	return nil
}

// contentOf decodes the Content-Encoding of an object, whose bytes it writes to
// stored.
func contentOf(obj *blob.Object, stored io.Writer) (io.ReadCloser, error) {
	body := io.TeeReader(obj.Body, stored)
	if !codec.HasEncoding(obj.ContentEncoding) {
		return io.NopCloser(body), nil
	}
	return codec.NewContentReader(obj.ContentEncoding, body, codec.ReaderOptions{})
}

// sum is the SHA-256 and the number of the bytes that are written to it.
type sum struct {
	hash.Hash
	n int64
}

func newSum() *sum { return &sum{Hash: sha256.New()} }

func (s *sum) Write(p []byte) (int, error) {
	s.n += int64(len(p))
	return s.Hash.Write(p)
}

func (s *sum) digest() nixhash.Hash { return nixhash.FromSHA256([32]byte(s.Sum(nil))) }

// inMemory bounds the archives that contents reads as a whole.
const inMemory = 64 << 20

// contents compares an archive with its path's content address.
func (c *checker) contents(info *narinfo.NarInfo) error {
	if info.CA.IsZero() || info.CA.Method == storepath.MethodGit {
		return nil
	}
	obj, err := c.b.Get(c.ctx, info.URL, blob.GetOptions{})
	if err != nil {
		return err
	}
	defer obj.Body.Close()
	content, err := contentOf(obj, io.Discard)
	if err != nil {
		return err
	}
	defer content.Close()
	r, err := codec.NewReader(string(info.Compression), content, codec.ReaderOptions{MaxSize: info.NarSize})
	if err != nil {
		return err
	}
	defer r.Close()
	h := nixhash.New(info.CA.Hash.Algorithm())
	var withoutOffsets nixhash.Hash
	switch {
	case info.CA.Method != storepath.MethodNAR:
		err = hashFile(h, r)
	case !slices.Contains(info.References, info.Path):
		_, err = io.Copy(h, r)
	case info.NarSize > inMemory:
		return nil
	default:
		withoutOffsets, err = hashModulo(h, r, info.Path.HashPart())
	}
	if err == nil && h.Digest() != info.CA.Hash && withoutOffsets != info.CA.Hash {
		err = fmt.Errorf("its contents have the hash %v, its content address says %v", h.Digest(), info.CA)
	}
	return err
}

// hashFile hashes the contents of an archive that is one file.
func hashFile(w io.Writer, archive io.Reader) error {
	r := nar.NewReader(archive)
	h, err := r.Next()
	if err != nil {
		return err
	}
	if h.Type != nar.TypeRegular {
		return fmt.Errorf("it holds a %v, its content address is of a file", h.Type)
	}
	_, err = io.Copy(w, r)
	return err
}

// hashModulo hashes an archive with zeros for each mention of itself, followed
// by the offsets of these. It returns the hash without the offsets, which Nix
// 2.17 to 2.34 and Lix use.
func hashModulo(h *nixhash.Hasher, archive io.Reader, self string) (withoutOffsets nixhash.Hash, err error) {
	data, err := io.ReadAll(archive)
	if err != nil {
		return nixhash.Hash{}, err
	}
	var offsets []byte
	for from := 0; ; {
		i := bytes.Index(data[from:], []byte(self))
		if i < 0 {
			break
		}
		from += i
		clear(data[from : from+len(self)])
		offsets = fmt.Appendf(offsets, "|%d", from)
		from += len(self)
	}
	h.Write(data)
	withoutOffsets = h.Digest()
	h.Write(offsets)
	return withoutOffsets, nil
}

// name checks that an archive that is named by a hash has it.
func (c *checker) name(key string) error {
	base, _, _ := strings.Cut(strings.TrimPrefix(key, layout.ArchivePrefix), ".")
	want, err := nixhash.DecodeNix32(base)
	if err != nil || len(want) != sha256.Size {
		return nil // named in another way, as in some caches
	}
	obj, err := c.b.Get(c.ctx, key, blob.GetOptions{})
	if err != nil {
		return err
	}
	defer obj.Body.Close()
	h := sha256.New()
	if _, err := io.Copy(h, obj.Body); err != nil {
		return err
	}
	if !bytes.Equal(h.Sum(nil), want) {
		return errors.New("does not have the hash that it is named by")
	}
	return nil
}

func (c *checker) uploads() error {
	cleaner, ok := blob.As[blob.UploadCleaner](c.b)
	if !ok || c.opts.Uploads {
		return nil
	}
	var errs []error
	for u, err := range cleaner.Uploads(c.ctx, "") {
		if errors.Is(err, errors.ErrUnsupported) {
			return nil
		}
		if err != nil {
			return err
		}
		errs = append(errs, fmt.Errorf("upload %s of %s was left unfinished", u.ID, u.Key))
	}
	return errors.Join(errs...)
}
