package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math"
	"sync"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
)

// NAR opens a path's archive, uncompressed and verified while it is read.
func (c *Cache) NAR(ctx context.Context, p storepath.Path) (io.ReadCloser, error) {
	info, err := c.NarInfo(ctx, p)
	if err != nil {
		return nil, err
	}
	return c.OpenNAR(ctx, info)
}

// OpenNAR opens the archive of a narinfo, uncompressed and verified while it
// is read: NarHash and NarSize, and FileHash and FileSize where they are
// given. It holds a place among those that are read, and memory of the budget,
// until it is closed: who needs many at once needs a budget for them.
func (c *Cache) OpenNAR(ctx context.Context, info *narinfo.NarInfo) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	file, err := c.OpenFile(ctx, info)
	if err != nil {
		cancel()
		return nil, err
	}
	free, err := c.decoders.enter(ctx, decoderMemory(info.Compression, info.NarSize))
	if err != nil {
		file.Close()
		cancel()
		return nil, err
	}
	// More than one core only where memory for it is free: many archives keep
	// the cores busy anyway.
	freeAhead, parallel := c.ahead.try(aheadMemory(info.Compression, info.NarSize))
	return newVerifiedReader(ctx, info, c.contentSum(&info.PathInfo), file, parallel, cancel, func() {
		freeAhead()
		free()
	}), nil
}

// OpenFile opens the archive of a narinfo as it is stored. It holds a place
// among those that are read until it is read to its end or closed.
func (c *Cache) OpenFile(ctx context.Context, info *narinfo.NarInfo) (io.ReadCloser, error) {
	if err := c.trust(&info.PathInfo); err != nil {
		return nil, err
	}
	leave, err := c.reads.enter(ctx, 1)
	if err != nil {
		return nil, err
	}
	obj, err := c.bucket.GetRef(ctx, info.URL, blob.GetOptions{})
	if err != nil {
		leave()
		return nil, fmt.Errorf("archive of %s: %w", info.Path, err)
	}
	if info.FileSize > 0 && obj.Length >= 0 && obj.Length != info.FileSize {
		leave()
		obj.Body.Close()
		return nil, &SizeMismatchError{Path: info.Path, Key: info.URL, Field: "FileSize", Wanted: info.FileSize, Got: obj.Length}
	}
	return &transferBody{obj.Body, leave}, nil
}

// transferBody gives its place among those that are read back when it has been
// read to its end or is closed, so that it is free while a copy still sends.
type transferBody struct {
	io.ReadCloser
	leave func()
}

func (t *transferBody) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if err != nil {
		t.leave()
	}
	return n, err
}

func (t *transferBody) Close() error {
	defer t.leave()
	return t.ReadCloser.Close()
}

// trust fails with ErrUntrusted unless the path may be read.
func (c *Cache) trust(info *narinfo.PathInfo) error {
	if len(c.settings.TrustedKeys) == 0 || c.settings.Trusted {
		return nil
	}
	return checkTrust(c.settings.TrustedKeys, info)
}

// requiresStrict reports whether the path's content address has to hold in the
// strict form.
func (c *Cache) requiresStrict(info *narinfo.PathInfo) bool {
	return !c.settings.Trusted && requiresStrict(c.settings.TrustedKeys, info)
}

// contentSum returns what verifies a path's content address when its archive is
// read.
func (c *Cache) contentSum(info *narinfo.PathInfo) *contentSum {
	return newContentSum(info, c.requiresStrict(info))
}

// fileLimit bounds how many compressed bytes are read for an archive, whatever
// size is claimed: what cannot be compressed grows by less than this.
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

// verifiedReader is an archive that is decompressed in one goroutine and hashed
// in another. The last bytes are followed by io.EOF only when everything that
// the narinfo claims was found true.
type verifiedReader struct {
	out    *fanReader
	fan    *fan
	unhook func() bool
	wg     sync.WaitGroup
	once   sync.Once

	interrupt func() // makes a Read of the body return
	free      func()
}

// newVerifiedReader reads the body, and closes it, in a goroutine of its own.
func newVerifiedReader(ctx context.Context, info *narinfo.NarInfo, content *contentSum, body io.ReadCloser, parallel bool, interrupt, free func()) *verifiedReader {
	f := newFan(2)
	v := &verifiedReader{out: f.readers[1], fan: f, interrupt: interrupt, free: free}
	v.unhook = context.AfterFunc(ctx, func() { f.fail(context.Cause(ctx)) })

	hashed := make(chan nixhash.Hash, 1)
	v.wg.Go(func() {
		defer close(hashed)
		h := sha256.New()
		var w io.Writer = h
		if content != nil {
			w = io.MultiWriter(h, content)
		}
		if _, err := f.readers[0].WriteTo(w); err != nil {
			f.fail(err) // as the contents may, which a content address describes
			return
		}
		hashed <- sha256Hash(h)
	})
	v.wg.Go(func() {
		defer body.Close()
		file := newFileCheck(info, body)
		err := decodeInto(f, info, file, parallel)
		if err == nil {
			err = f.flush()
		}
		if err == nil {
			err = file.finish()
		}
		if err != nil {
			f.fail(err)
			return
		}
		close(f.readers[0].in)
		got, ok := <-hashed
		if !ok {
			return // the fan has failed
		}
		if !info.NarHash.IsZero() && got != info.NarHash {
			f.fail(&HashMismatchError{Path: info.Path, Key: info.URL, Field: "NarHash", Wanted: info.NarHash, Got: got})
			return
		}
		if err := content.verify(&info.PathInfo, got, info.URL); err != nil {
			f.fail(err)
			return
		}
		close(f.readers[1].in)
	})
	return v
}

// newVerifiedCopy is newVerifiedReader for an archive whose place and memory its
// caller has taken. Closing it leaves the archive open.
func newVerifiedCopy(ctx context.Context, info *narinfo.NarInfo, content *contentSum, archive io.Reader) *verifiedReader {
	return newVerifiedReader(ctx, info, content, io.NopCloser(archive), false, func() {}, func() {})
}

func (v *verifiedReader) Read(p []byte) (int, error) { return v.out.Read(p) }

// WriteTo hands on the buffers without copying them.
func (v *verifiedReader) WriteTo(w io.Writer) (int64, error) { return v.out.WriteTo(w) }

// Close ends the reading, early or not, and waits for the goroutines.
func (v *verifiedReader) Close() error {
	v.once.Do(func() {
		v.unhook()
		v.fan.fail(errReaderGone)
		v.interrupt()
		v.wg.Wait()
		v.out.leave()
		v.free()
	})
	return nil
}

// decodeInto writes the NAR in file to w: no more bytes than the narinfo
// claims, and no fewer.
func decodeInto(w io.Writer, info *narinfo.NarInfo, file io.Reader, parallel bool) error {
	r, _, err := codec.NewReaderDetect(string(info.Compression), file, codec.ReaderOptions{
		MaxSize:         info.NarSize + 1,
		IgnoreChecksums: !info.NarHash.IsZero(), // which is compared
		Parallel:        parallel,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", subject(info.Path, info.URL), err)
	}
	defer r.Close()
	n, err := io.Copy(w, io.LimitReader(r, info.NarSize+1))
	if err != nil {
		return fmt.Errorf("%s: %w", subject(info.Path, info.URL), err)
	}
	if n != info.NarSize {
		return &SizeMismatchError{Path: info.Path, Key: info.URL, Field: "NarSize", Wanted: info.NarSize, Got: n}
	}
	return nil
}

// fileCheck passes on a compressed archive while it checks what the narinfo
// says of it.
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
		// One byte more than the limit tells a file of the right size from an
		// endless one.
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

// finish reads what the decoder left and compares.
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
