package store

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/internal/flow"
	"example.com/nixs3/store/layout"
)

// intake has the claims about an archive and its destination. Each of its methods
// moves the archive there in one pass, and returns what was found.
//
//	plain:    archive ─┬─ NAR hash, size
//	                   └─ structure, contents; codec ── file hash ── staged
//	encoded:  archive ─┬─ file hash ── staged
//	                   └─ decoder ─┬─ NAR hash, size
//	                               └─ structure, contents
//	recoded:  archive ── file hash, decoder ── plain
type intake struct {
	claims  *narinfo.PathInfo
	staged  io.Writer
	strict  bool // see AddOptions.StrictContentAddress
	listing bool // a listing is needed

	// For an archive that is compressed.
	compression narinfo.Compression
	writer      codec.WriterOptions
}

// found is what was computed from the bytes of an archive.
type found struct {
	compression       narinfo.Compression
	fileHash, narHash nixhash.Hash
	fileSize, narSize int64
	listing           *nar.Listing // where it was needed
	contents          *contentSum  // nil where the content address needs no hash of its own
	verified          bool         // the NAR was checked, not only its file
}

// plain takes in the archive that produce writes, and compresses it.
func (in *intake) plain(ctx context.Context, produce func(io.Writer) error) (*found, error) {
	pieces := &pieceWriter{}
	look := in.inspect(pieces.visit)
	file := &fileSum{w: in.staged}
	if in.compression != codec.None {
		file.h = sha256.New()
	}
	err := flow.Spread(ctx, produce, look.hash, func(r io.Reader) error {
		w, err := codec.NewWriter(string(in.compression), file, in.writer)
		if err != nil {
			return err
		}
		pieces.w = w
		_, err = io.Copy(io.MultiWriter(look.structure(), pieces), r)
		if cerr := pieces.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
		return look.close()
	})
	if err != nil {
		return nil, err
	}
	f := look.found()
	f.compression, f.fileSize, f.fileHash = in.compression, file.n, f.narHash
	if file.h != nil {
		f.fileHash = sha256Hash(file.h)
	}
	return f, nil
}

// encoded takes in a compressed archive and keeps its compression. With trust it
// checks only the file.
func (in *intake) encoded(ctx context.Context, archive io.Reader, file *narinfo.NarInfo, trust bool) (*found, error) {
	br := bufio.NewReaderSize(archive, codec.DetectLen)
	prefix, _ := br.Peek(codec.DetectLen) // a failing reader fails again below
	// The claimed name may be wrong; the published one must not.
	claims := *file
	if name := codec.Detect(prefix); name != "" {
		claims.Compression = narinfo.Compression(name)
	}
	if claims.Compression == codec.None {
		in.compression = codec.None
		f, err := in.plain(ctx, copyOf(br))
		if err != nil {
			return nil, err
		}
		return f, checkFile(&claims, f)
	}

	sum := &fileSum{w: in.staged, h: sha256.New(), claims: &claims}
	consumers := []func(io.Reader) error{
		func(r io.Reader) error {
			_, err := io.Copy(sum, r)
			return err
		},
	}
	look := in.inspect(nil)
	// Trust needs a file hash to check and a NAR hash to publish.
	trust = trust && claims.FileHash.Algorithm() == nixhash.SHA256 && !in.claims.NarHash.IsZero()
	if !trust {
		consumers = append(consumers, func(r io.Reader) error {
			return flow.Spread(ctx, func(w io.Writer) error { return decodeInto(w, &claims, r, false) }, look.hash,
				func(r io.Reader) error {
					if _, err := io.Copy(look.structure(), r); err != nil {
						return err
					}
					return look.close()
				})
		})
	}
	if err := flow.Spread(ctx, copyOf(br), consumers...); err != nil {
		return nil, err
	}
	f := &found{narHash: in.claims.NarHash, narSize: in.claims.NarSize}
	if !trust {
		f = look.found()
	}
	f.compression, f.fileSize, f.fileHash = claims.Compression, sum.n, sha256Hash(sum.h)
	return f, checkFile(&claims, f)
}

// recoded takes in a compressed archive and compresses it anew.
func (in *intake) recoded(ctx context.Context, archive io.Reader, file *narinfo.NarInfo) (*found, error) {
	var f *found
	err := flow.Spread(ctx, copyOf(archive), func(r io.Reader) (err error) {
		f, err = in.plain(ctx, func(w io.Writer) error {
			check := newFileCheck(file, r)
			if err := decodeInto(w, file, check, false); err != nil {
				return err
			}
			return check.finish()
		})
		return err
	})
	return f, err
}

func copyOf(r io.Reader) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.Copy(w, r)
		return err
	}
}

// checkFile compares the claims about a compressed archive with what was found.
func checkFile(claims *narinfo.NarInfo, f *found) error {
	if claims.FileSize > 0 && claims.FileSize != f.fileSize {
		return &SizeMismatchError{Path: claims.Path, Key: claims.URL, Field: "FileSize", Wanted: claims.FileSize, Got: f.fileSize}
	}
	if claims.FileHash.Algorithm() == nixhash.SHA256 && claims.FileHash != f.fileHash {
		return &HashMismatchError{Path: claims.Path, Key: claims.URL, Field: "FileHash", Wanted: claims.FileHash, Got: f.fileHash}
	}
	return nil
}

// verify compares the claims about a path with what was found of its archive.
func (f *found) verify(claims *narinfo.PathInfo) error {
	if claims.NarSize > 0 && claims.NarSize != f.narSize {
		return &SizeMismatchError{Path: claims.Path, Field: "NarSize", Wanted: claims.NarSize, Got: f.narSize}
	}
	if !claims.NarHash.IsZero() && claims.NarHash != f.narHash {
		return &HashMismatchError{Path: claims.Path, Field: "NarHash", Wanted: claims.NarHash, Got: f.narHash}
	}
	if !f.verified {
		return nil
	}
	if err := checkContentAddress(f.pathInfo(claims)); err != nil {
		return err
	}
	return f.contents.verify(claims, f.narHash, "")
}

// pathInfo is the description of a path after its archive was verified.
func (f *found) pathInfo(claims *narinfo.PathInfo) *narinfo.PathInfo {
	info := *claims
	info.NarHash, info.NarSize = f.narHash, f.narSize
	return &info
}

// narInfo is the narinfo of a path whose archive was verified.
func (f *found) narInfo(claims *narinfo.PathInfo) *narinfo.NarInfo {
	return &narinfo.NarInfo{
		PathInfo:    *f.pathInfo(claims),
		URL:         layout.ArchiveKey(f.fileHash, f.compression),
		Compression: f.compression,
		FileHash:    f.fileHash,
		FileSize:    f.fileSize,
	}
}

// inspection checks a NAR: one reader hashes it, another checks its structure and
// the contents that its content address describes.
type inspection struct {
	claims   *narinfo.PathInfo
	nar      narSum
	check    io.WriteCloser // a nar.Validator or a nar.ListingWriter
	contents *contentSum
}

// inspect returns an inspection that calls visit, which may be nil, for each
// header of the NAR.
func (in *intake) inspect(visit func(*nar.Header) error) *inspection {
	i := &inspection{claims: in.claims, nar: narSum{claims: in.claims, h: sha256.New()}, contents: newContentSum(in.claims, in.strict)}
	if in.listing {
		lw := nar.NewListingWriter()
		lw.Visit = visit
		i.check = lw
	} else {
		i.check = nar.NewValidator(visit)
	}
	return i
}

func (i *inspection) hash(r io.Reader) error {
	_, err := io.Copy(&i.nar, r)
	return err
}

func (i *inspection) structure() io.Writer {
	if i.contents == nil {
		return i.check
	}
	return io.MultiWriter(i.check, i.contents)
}

func (i *inspection) close() error {
	if err := i.check.Close(); err != nil {
		return fmt.Errorf("%s: %w", i.claims.Path, err)
	}
	return nil
}

func (i *inspection) found() *found {
	f := &found{narHash: sha256Hash(i.nar.h), narSize: i.nar.n, contents: i.contents, verified: true}
	if lw, ok := i.check.(*nar.ListingWriter); ok {
		f.listing = lw.Listing()
	}
	return f
}

// narSum is the hash and the size of a NAR. It fails as soon as the NAR is
// larger than claimed.
type narSum struct {
	claims *narinfo.PathInfo
	h      hash.Hash
	n      int64
}

func (s *narSum) Write(p []byte) (int, error) {
	s.n += int64(len(p))
	if s.claims.NarSize > 0 && s.n > s.claims.NarSize {
		return 0, &SizeMismatchError{Path: s.claims.Path, Field: "NarSize", Wanted: s.claims.NarSize, Got: s.n}
	}
	return s.h.Write(p)
}

// fileSum is the hash and the size of the file that goes into the bucket. It
// fails as soon as the file is larger than claimed.
type fileSum struct {
	w      io.Writer
	h      hash.Hash // nil where the file is the NAR, which is hashed anyway
	n      int64
	claims *narinfo.NarInfo // nil: none
}

func (s *fileSum) Write(p []byte) (int, error) {
	if s.claims != nil {
		if limit, n := fileLimit(s.claims), s.n+int64(len(p)); n > limit {
			return 0, &SizeMismatchError{Path: s.claims.Path, Key: s.claims.URL, Field: "FileSize", Wanted: limit, Got: n}
		}
	}
	if s.h != nil {
		s.h.Write(p)
	}
	n, err := s.w.Write(p)
	s.n += int64(n)
	return n, err
}
