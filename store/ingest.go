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
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
)

// ingestion is one archive on its way in: everything that is computed from its
// bytes, in one pass, beside storing them.
//
//	plain:    archive ─┬─ NAR hash, size, structure, listing
//	                   └─ codec ── file hash ── staged object
//	encoded:  archive ─┬─ file hash ── staged object
//	                   └─ codec ──┬─ NAR hash, size
//	                              └─ structure, listing
type ingestion struct {
	info   *narinfo.PathInfo // the claims
	staged blob.Staged

	compression narinfo.Compression
	writer      codec.WriterOptions

	nar     narSum
	file    fileSum
	content *contentSum
	trusted bool           // the NAR was not looked at
	check   io.WriteCloser // a nar.Validator or a nar.ListingWriter
}

// narSum is a NAR's hash and size. One that grows over its claim fails at once.
type narSum struct {
	info *narinfo.PathInfo
	h    hash.Hash
	n    int64
}

func (s *narSum) Write(p []byte) (int, error) {
	s.n += int64(len(p))
	if s.info.NarSize > 0 && s.n > s.info.NarSize {
		return 0, &SizeMismatchError{Path: s.info.Path, Field: "NarSize", Wanted: s.info.NarSize, Got: s.n}
	}
	return s.h.Write(p)
}

// fileSum is the hash and the size of the file that goes into the bucket. Where
// the file is the NAR itself, h is nil. One that grows over what is claimed of
// it fails at once.
type fileSum struct {
	w      io.Writer
	h      hash.Hash
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

func newIngestion(info *narinfo.PathInfo, staged blob.Staged, content *contentSum, listing bool) *ingestion {
	in := &ingestion{info: info, staged: staged, content: content}
	in.nar = narSum{info: info, h: sha256.New()}
	in.file = fileSum{w: staged, h: sha256.New()}
	if listing {
		in.check = nar.NewListingWriter()
		return in
	}
	in.check = nar.NewValidator(nil)
	return in
}

// plain ingests an archive that produce writes, and compresses it.
func (in *ingestion) plain(ctx context.Context, produce func(io.Writer) error) error {
	if in.compression == codec.None {
		in.file.h = nil
	}
	err := spread(ctx, produce,
		func(r io.Reader) error {
			_, err := io.Copy(&in.nar, r)
			return err
		},
		func(r io.Reader) error {
			w, err := codec.NewWriter(string(in.compression), &in.file, in.writer)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.MultiWriter(in.inspectors(), w), r)
			if cerr := w.Close(); err == nil {
				err = cerr
			}
			if err != nil {
				return err
			}
			return in.closeCheck()
		})
	if err != nil {
		return err
	}
	return in.verify()
}

// encoded ingests an archive that is compressed already. With trust, nothing
// but the file is looked at.
func (in *ingestion) encoded(ctx context.Context, file io.Reader, claims *narinfo.NarInfo, trust bool) error {
	br := bufio.NewReaderSize(file, codec.DetectLen)
	prefix, _ := br.Peek(codec.DetectLen) // a failing reader fails again below
	in.compression = claims.Compression
	if found := codec.Detect(prefix); found != "" {
		// The name in the narinfo may lie; ours will not.
		in.compression = narinfo.Compression(found)
	}
	claims = &narinfo.NarInfo{PathInfo: *in.info, URL: claims.URL, Compression: in.compression, FileHash: claims.FileHash, FileSize: claims.FileSize}
	if in.compression == codec.None {
		return in.uncompressed(ctx, br, claims)
	}
	in.file.claims = claims
	consumers := []func(io.Reader) error{
		func(r io.Reader) error {
			_, err := io.Copy(&in.file, r)
			return err
		},
	}
	// Trust needs something to hold on to: a file hash to check, a NAR hash to
	// write down.
	in.trusted = trust && claims.FileHash.Algorithm() == nixhash.SHA256 && !in.info.NarHash.IsZero()
	if !in.trusted {
		consumers = append(consumers, func(r io.Reader) error { return in.decoded(ctx, r, claims) })
	}
	err := spread(ctx, func(w io.Writer) error {
		_, err := io.Copy(w, br)
		return err
	}, consumers...)
	if err != nil {
		return err
	}
	if err := checkFile(claims, in.fileHash(), in.file.n); err != nil || in.trusted {
		return err
	}
	return in.verify()
}

// decoded looks at the NAR in a compressed file.
func (in *ingestion) decoded(ctx context.Context, file io.Reader, claims *narinfo.NarInfo) error {
	return spread(ctx,
		func(w io.Writer) error { return decodeInto(w, claims, file, false) },
		func(r io.Reader) error {
			_, err := io.Copy(&in.nar, r)
			return err
		},
		func(r io.Reader) error {
			if _, err := io.Copy(in.inspectors(), r); err != nil {
				return err
			}
			return in.closeCheck()
		})
}

// uncompressed ingests an archive whose file is the NAR: one hash serves both.
func (in *ingestion) uncompressed(ctx context.Context, file io.Reader, claims *narinfo.NarInfo) error {
	err := in.plain(ctx, func(w io.Writer) error {
		_, err := io.Copy(w, file)
		return err
	})
	if err != nil {
		return err
	}
	return checkFile(claims, in.fileHash(), in.file.n)
}

func checkFile(claims *narinfo.NarInfo, got nixhash.Hash, size int64) error {
	if claims.FileSize > 0 && claims.FileSize != size {
		return &SizeMismatchError{Path: claims.Path, Key: claims.URL, Field: "FileSize", Wanted: claims.FileSize, Got: size}
	}
	if claims.FileHash.Algorithm() == nixhash.SHA256 && claims.FileHash != got {
		return &HashMismatchError{Path: claims.Path, Key: claims.URL, Field: "FileHash", Wanted: claims.FileHash, Got: got}
	}
	return nil
}

// inspectors are what looks at the NAR beside its hash.
func (in *ingestion) inspectors() io.Writer {
	if in.content == nil {
		return in.check
	}
	return io.MultiWriter(in.check, in.content)
}

func (in *ingestion) closeCheck() error {
	if err := in.check.Close(); err != nil {
		return fmt.Errorf("%s: %w", in.info.Path, err)
	}
	return nil
}

func (in *ingestion) narHash() nixhash.Hash {
	if in.trusted {
		return in.info.NarHash
	}
	return sha256Hash(in.nar.h)
}

func (in *ingestion) narSize() int64 {
	if in.trusted {
		return in.info.NarSize
	}
	return in.nar.n
}

func (in *ingestion) fileHash() nixhash.Hash {
	if in.file.h == nil {
		return in.narHash()
	}
	return sha256Hash(in.file.h)
}

// verify compares the claims with what was found.
func (in *ingestion) verify() error {
	if in.info.NarSize > 0 && in.info.NarSize != in.nar.n {
		return &SizeMismatchError{Path: in.info.Path, Field: "NarSize", Wanted: in.info.NarSize, Got: in.nar.n}
	}
	if got := in.narHash(); !in.info.NarHash.IsZero() && in.info.NarHash != got {
		return &HashMismatchError{Path: in.info.Path, Field: "NarHash", Wanted: in.info.NarHash, Got: got}
	}
	found := *in.info
	found.NarHash, found.NarSize = in.narHash(), in.narSize()
	if err := checkContentAddress(&found); err != nil {
		return err
	}
	return in.content.verify(in.info, found.NarHash, "")
}

// narInfo is what was found out about the archive.
func (in *ingestion) narInfo() *narinfo.NarInfo {
	info := &narinfo.NarInfo{
		PathInfo:    *in.info,
		URL:         archiveKey(in.fileHash(), in.compression),
		Compression: in.compression,
		FileHash:    in.fileHash(),
		FileSize:    in.file.n,
	}
	info.NarHash, info.NarSize = in.narHash(), in.narSize()
	return info
}
