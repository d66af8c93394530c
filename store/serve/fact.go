package serve

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"example.com/nixs3/nar"
	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/layout"
)

// fact is what was found out about an archive by reading all of it.
type fact struct {
	compression narinfo.Compression
	fileSize    int64
	narHash     nixhash.Hash
	narSize     int64
	listing     []byte            // in JSON, nil where a name is not UTF-8
	debugFiles  map[string]string // member to build ID
}

// An archive may grow by decompression to inflation times its size, or to
// inflationFree bytes if that is more. Real archives of zeros stay below.
const (
	inflation     = 1000
	inflationFree = 4 << 30
)

// fileHashOf returns the hash that the key of an archive names.
func fileHashOf(key string) (nixhash.Hash, error) {
	name, _, _ := strings.Cut(strings.TrimPrefix(key, layout.ArchivePrefix), ".")
	h, err := nixhash.Parse("sha256:" + name)
	if err != nil || h.Nix32() != name || layout.ArchiveKey(h, compressionOf(key)) != key {
		return nixhash.Hash{}, refusef(http.StatusBadRequest, "archive %q: expected the key %s<hash of the file in nix32>.nar[.extension]", key, layout.ArchivePrefix)
	}
	return h, nil
}

// examine reads a compressed archive to its end. It passes the bytes on to sink
// and verifies that they have the hash, and hold one NAR. What is wrong with
// the archive is a refusal.
func (s *Server) examine(file io.Reader, sink io.Writer, key string, want nixhash.Hash) (*fact, error) {
	pr, pw := io.Pipe()
	f := &fact{}
	var read atomic.Int64
	decoded := make(chan error, 1)
	go func() {
		err := s.examineNAR(f, pr, key, &read)
		pr.CloseWithError(err) // nil lets the rest of the file pass
		decoded <- err
	}()
	sum := sha256.New()
	source := &noted{r: file}
	var err error
	f.fileSize, err = io.Copy(io.MultiWriter(sum, sink, countWriter{&read}, pw), source)
	pw.CloseWithError(err)
	derr := <-decoded
	if source.err != nil {
		return nil, source.err // whatever the decoder makes of it
	}
	if derr != nil && (err == nil || errors.Is(err, derr)) {
		var no *refusal
		if errors.As(derr, &no) {
			return nil, derr
		}
		return nil, refusef(http.StatusUnprocessableEntity, "%s does not hold a NAR: %v", key, derr)
	}
	if err != nil {
		return nil, err
	}
	if digest := sum.Sum(nil); string(digest) != string(want.Digest()) {
		return nil, refusef(http.StatusUnprocessableEntity, "%s: the file has another hash than its key", key)
	}
	return f, nil
}

func (s *Server) examineNAR(f *fact, file io.Reader, key string, read *atomic.Int64) error {
	named := compressionOf(key)
	plain, found, err := codec.NewReaderDetect(string(named), file, codec.ReaderOptions{MaxSize: s.limits.NarSize})
	if err != nil {
		return err
	}
	defer plain.Close()
	f.compression = narinfo.Compression(found)
	if compressionOf(layout.ArchiveKey(nixhash.Hash{}, f.compression)) != named {
		return fmt.Errorf("the file is compressed by %s, which its name denies", found)
	}
	h, listing := nixhash.New(nixhash.SHA256), nar.NewListingWriter()
	guard := &inflationGuard{free: s.inflationFree, read: read}
	if _, err := io.Copy(io.MultiWriter(guard, h, listing), plain); err != nil {
		return err
	}
	if err := listing.Close(); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, file); err != nil {
		return err
	}
	f.narHash, f.narSize = h.Digest(), guard.n
	l := listing.Listing()
	f.debugFiles = debugFiles(l)
	f.listing, err = l.MarshalJSON()
	if errors.Is(err, nar.ErrNotUTF8) {
		return nil
	}
	return err
}

// noted is a reader that keeps its error. It tells a source that fails from an
// archive that is damaged.
type noted struct {
	r   io.Reader
	err error
}

func (n *noted) Read(p []byte) (int, error) {
	c, err := n.r.Read(p)
	if err != nil && err != io.EOF {
		n.err = err
	}
	return c, err
}

type countWriter struct{ n *atomic.Int64 }

func (c countWriter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// inflationGuard counts decompressed bytes and ends a bomb.
type inflationGuard struct {
	n    int64
	free int64
	read *atomic.Int64 // bytes of the file so far
}

func (g *inflationGuard) Write(p []byte) (int, error) {
	g.n += int64(len(p))
	if g.n > g.free && g.n/inflation > g.read.Load() {
		return 0, refusef(http.StatusRequestEntityTooLarge, "the archive grows to more than %d times its size", inflation)
	}
	return len(p), nil
}

// factOf returns what is known of a stored archive. One that another instance,
// or the bucket itself, has received is read back.
func (p *receiver) factOf(ctx context.Context, key string) (*fact, error) {
	want, err := fileHashOf(key)
	if err != nil {
		return nil, err
	}
	attrs, err := p.bucket.Head(ctx, key)
	if err != nil {
		return nil, absentArchive(key, err)
	}
	if f, ok := p.facts.get(key); ok && f.fileSize == attrs.Size {
		return f, nil
	}
	if attrs.Size > p.limits.ArchiveSize {
		return nil, refusef(http.StatusRequestEntityTooLarge, "%s: %d bytes are more than the %d that are taken", key, attrs.Size, p.limits.ArchiveSize)
	}
	obj, err := p.bucket.Get(ctx, key, blob.GetOptions{})
	if err != nil {
		return nil, absentArchive(key, err)
	}
	defer obj.Body.Close()
	f, err := p.examine(obj.Body, io.Discard, key, want)
	if err != nil {
		return nil, err
	}
	p.remember(key, f)
	p.forget(key) // a client may have asked for it before it came
	return f, p.storeLinks(ctx, key, f)
}

func absentArchive(key string, err error) error {
	if isAbsent(err) {
		return refusef(http.StatusConflict, "the archive %s is not here: push it before its narinfo", key)
	}
	return failure{err}
}

func (p *receiver) remember(key string, f *fact) {
	p.facts.put(p.facts.now(), key, f, int64(len(f.listing))+overhead, factTTL)
}
