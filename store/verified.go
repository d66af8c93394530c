package store

import (
	"context"
	"crypto/sha256"
	"hash"
	"io"
	"math"
	"sync"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/internal/flow"
)

// verifiedReader is an archive that is decompressed in one goroutine and hashed
// in another. It returns io.EOF only after it has verified every claim of the
// narinfo.
type verifiedReader struct {
	info     *narinfo.NarInfo
	contents *contentSum
	fan      *flow.Fan
	out      *flow.Reader
	unhook   func() bool
	wg       sync.WaitGroup
}

// The readers of a verifiedReader's fan.
const (
	toHash = iota
	toCaller
)

func newVerifiedReader(info *narinfo.NarInfo, contents *contentSum) *verifiedReader {
	f := flow.NewFan(2)
	return &verifiedReader{info: info, contents: contents, fan: f, out: f.Reader(toCaller)}
}

// start reads the file, and closes it, in a goroutine of its own. With parallel,
// several cores decompress.
func (v *verifiedReader) start(ctx context.Context, file io.ReadCloser, parallel bool) {
	v.unhook = context.AfterFunc(ctx, func() { v.fan.Fail(context.Cause(ctx)) })
	hashed := make(chan nixhash.Hash, 1)
	v.wg.Go(func() {
		defer close(hashed)
		if got, err := v.hash(); err != nil {
			v.fan.Fail(err)
		} else {
			hashed <- got
		}
	})
	v.wg.Go(func() {
		defer file.Close()
		if err := v.decode(file, parallel, hashed); err != nil {
			v.fan.Fail(err)
		}
	})
}

// hash reads the NAR.
func (v *verifiedReader) hash() (nixhash.Hash, error) {
	h := sha256.New()
	var w io.Writer = h
	if v.contents != nil {
		w = io.MultiWriter(h, v.contents) // which fails where the contents contradict the content address
	}
	if _, err := v.fan.Reader(toHash).WriteTo(w); err != nil {
		return nixhash.Hash{}, err
	}
	return sha256Hash(h), nil
}

// decode feeds both readers, and ends the caller's when all is verified.
func (v *verifiedReader) decode(file io.Reader, parallel bool, hashed <-chan nixhash.Hash) error {
	check := newFileCheck(v.info, file)
	if err := decodeInto(v.fan, v.info, check, parallel); err != nil {
		return err
	}
	if err := v.fan.End(toHash); err != nil {
		return err
	}
	if err := check.finish(); err != nil {
		return err
	}
	got, ok := <-hashed
	if !ok {
		return v.fan.Err()
	}
	if !v.info.NarHash.IsZero() && got != v.info.NarHash {
		return &HashMismatchError{Path: v.info.Path, Key: v.info.URL, Field: "NarHash", Wanted: v.info.NarHash, Got: got}
	}
	if err := v.contents.verify(&v.info.PathInfo, got, v.info.URL); err != nil {
		return err
	}
	return v.fan.End(toCaller)
}

func (v *verifiedReader) Read(p []byte) (int, error) { return v.out.Read(p) }

// WriteTo writes the buffers without copying them.
func (v *verifiedReader) WriteTo(w io.Writer) (int64, error) { return v.out.WriteTo(w) }

// stop ends the reading, early or not.
func (v *verifiedReader) stop() {
	v.unhook()
	v.fan.Fail(flow.ErrReaderLeft)
}

// wait returns when the goroutines have ended.
func (v *verifiedReader) wait() {
	v.wg.Wait()
	v.out.Leave()
}

// decodeInto writes the NAR in file to w, and fails unless it has as many bytes
// as the narinfo claims.
func decodeInto(w io.Writer, info *narinfo.NarInfo, file io.Reader, parallel bool) error {
	r, _, err := codec.NewReaderDetect(string(info.Compression), file, codec.ReaderOptions{
		MaxSize:         info.NarSize + 1,
		IgnoreChecksums: !info.NarHash.IsZero(), // which is compared
		Parallel:        parallel,
	})
	if err != nil {
		return &objectError{subject(info.Path, info.URL), err}
	}
	defer r.Close()
	n, err := io.Copy(w, io.LimitReader(r, info.NarSize+1))
	if err != nil {
		return &objectError{subject(info.Path, info.URL), err}
	}
	if n != info.NarSize {
		return &SizeMismatchError{Path: info.Path, Key: info.URL, Field: "NarSize", Wanted: info.NarSize, Got: n}
	}
	return nil
}

// fileLimit bounds the compressed bytes of an archive, whatever size is claimed:
// incompressible data grows by less than this.
func fileLimit(info *narinfo.NarInfo) int64 {
	limit := info.NarSize + info.NarSize/8 + 1<<20
	if limit < 0 {
		limit = math.MaxInt64 // the sum does not fit
	}
	if info.FileSize > 0 {
		limit = min(limit, info.FileSize)
	}
	return limit
}

// fileCheck passes on a compressed archive and checks it against its narinfo.
type fileCheck struct {
	info *narinfo.NarInfo
	r    io.Reader
	h    hash.Hash // nil where no FileHash is given, or the file is the NAR
	n    int64
}

func newFileCheck(info *narinfo.NarInfo, r io.Reader) *fileCheck {
	f := &fileCheck{info: info, r: r}
	// An archive that is not compressed has one hash for both.
	same := info.Compression == codec.None && info.FileHash == info.NarHash
	if info.FileHash.Algorithm() == nixhash.SHA256 && !same {
		f.h = sha256.New()
	}
	return f
}

func (f *fileCheck) Read(p []byte) (int, error) {
	if limit := fileLimit(f.info); f.n >= limit {
		// One byte more than the limit distinguishes a file of the right size
		// from an endless one.
		p = p[:min(1, len(p))]
	}
	n, err := f.r.Read(p)
	f.n += int64(n)
	if f.h != nil {
		f.h.Write(p[:n])
	}
	if limit := fileLimit(f.info); f.n > limit {
		return n, &SizeMismatchError{Path: f.info.Path, Key: f.info.URL, Field: "FileSize", Wanted: limit, Got: f.n}
	}
	return n, err
}

// finish reads the bytes that the decoder left, and compares the file with the
// claims.
func (f *fileCheck) finish() error {
	if _, err := io.Copy(io.Discard, f); err != nil {
		return err
	}
	if f.info.FileSize > 0 && f.n != f.info.FileSize {
		return &SizeMismatchError{Path: f.info.Path, Key: f.info.URL, Field: "FileSize", Wanted: f.info.FileSize, Got: f.n}
	}
	if f.h == nil {
		return nil
	}
	if got := sha256Hash(f.h); got != f.info.FileHash {
		return &HashMismatchError{Path: f.info.Path, Key: f.info.URL, Field: "FileHash", Wanted: f.info.FileHash, Got: got}
	}
	return nil
}

func sha256Hash(h hash.Hash) nixhash.Hash {
	return nixhash.FromSHA256([32]byte(h.Sum(nil)))
}
