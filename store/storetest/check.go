package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
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
	name, err := codec.FromContentEncoding(attrs.ContentEncoding)
	if err != nil {
		return err
	}
	r, _, err := codec.NewReaderDetect(name, bytes.NewReader(text), codec.ReaderOptions{MaxSize: layout.NarInfo.Limit()})
	if err != nil {
		return err
	}
	defer r.Close()
	if text, err = io.ReadAll(r); err != nil {
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
	if info.FileSize != 0 && info.FileSize != size {
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
	file, archive, structure := sha256.New(), sha256.New(), nar.NewValidator(nil)
	body := io.TeeReader(obj.Body, file)
	r, err := codec.NewReader(string(info.Compression), body, codec.ReaderOptions{MaxSize: info.NarSize})
	if err != nil {
		return err
	}
	defer r.Close()
	n, err := io.Copy(io.MultiWriter(archive, structure), r)
	if err == nil {
		err = structure.Close()
	}
	if err == nil {
		_, err = io.Copy(io.Discard, body)
	}
	switch {
	case err != nil:
		return fmt.Errorf("its archive %s: %w", info.URL, err)
	case n != info.NarSize:
		return fmt.Errorf("its archive %s has %d bytes, NarSize says %d", info.URL, n, info.NarSize)
	case nixhash.FromSHA256([32]byte(archive.Sum(nil))) != info.NarHash:
		return fmt.Errorf("its archive %s has another NarHash", info.URL)
	case !info.FileHash.IsZero() && nixhash.FromSHA256([32]byte(file.Sum(nil))) != info.FileHash:
		return fmt.Errorf("its archive %s has another FileHash", info.URL)
	}
	return nil
}

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
	r, err := codec.NewReader(string(info.Compression), obj.Body, codec.ReaderOptions{MaxSize: info.NarSize})
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
