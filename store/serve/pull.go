package serve

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/layout"
)

// pull is an archive that is fetched from an upstream once, for all who ask for
// it meanwhile. They read the file as it grows. The last bytes are handed out
// when the whole was found to be what the narinfo claims, so that nobody takes
// a wrong archive for a good one.
type pull struct {
	opened chan struct{} // closed when size is known or the fetch failed
	file   *os.File
	size   int64 // of the whole

	mu    sync.Mutex
	have  int64
	done  bool
	err   error
	wake  chan struct{} // closed and replaced whenever something changes
	users int           // readers and the fetch itself; the last closes the file
}

// heldBack is how much of an archive waits until the whole was verified.
const heldBack = 4 << 10

// pulls are the archives that are being fetched.
type pulls struct {
	mu    sync.Mutex
	byKey map[string]*pull
}

// pull returns the fetch of an archive that an upstream has, which begins if it
// has not yet. The caller leaves it.
func (s *Server) pull(ctx context.Context, key string, o *small) (*pull, error) {
	s.pulls.mu.Lock()
	p := s.pulls.byKey[key]
	if p == nil {
		p = &pull{opened: make(chan struct{}), wake: make(chan struct{}), users: 1}
		if s.pulls.byKey == nil {
			s.pulls.byKey = map[string]*pull{}
		}
		s.pulls.byKey[key] = p
		s.background.Go(func() { s.runPull(p, key, o) })
	}
	p.join()
	s.pulls.mu.Unlock()
	var err error
	select {
	case <-p.opened:
		_, _, err = p.ready()
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		p.leave()
		return nil, err
	}
	return p, nil
}

// runPull fetches an archive. It continues after its clients have disconnected.
func (s *Server) runPull(p *pull, key string, o *small) {
	err := s.fetchPull(p, o)
	if err == nil && o.from.PullThrough {
		if kerr := s.keepPull(p, o.info); kerr != nil {
			s.log.Error("keeping an archive of an upstream", "key", key, "error", kerr)
		}
		s.forget(key)
		s.forget(layout.NarInfoKey(o.info.Path.HashPart()))
	}
	if err != nil {
		s.log.Error("archive of an upstream", "key", key, "upstream", o.from.name, "error", err)
	}
	s.pulls.mu.Lock()
	delete(s.pulls.byKey, key)
	s.pulls.mu.Unlock()
	p.leave()
}

// fetchPull fills the file and verifies it.
func (s *Server) fetchPull(p *pull, o *small) (err error) {
	opened := sync.OnceFunc(func() { close(p.opened) })
	defer func() {
		p.mu.Lock()
		p.done, p.err = true, err
		p.changed()
		p.mu.Unlock()
		opened()
	}()
	if p.file, err = os.CreateTemp(s.cache.Settings().SpoolDir, "nixs3-pull-*"); err != nil {
		return err
	}
	_ = os.Remove(p.file.Name()) // leave does it where a file in use cannot be removed
	obj, err := openUpstream(s.ctx, o.from, o.url, blob.GetOptions{})
	if err != nil {
		return err
	}
	defer obj.Body.Close()
	if isEncoded(obj.ContentEncoding, o.info.Compression) || obj.Length < 0 {
		return s.pullUnsized(p, o, obj)
	}
	if o.info.FileSize > 0 && obj.Length != o.info.FileSize {
		return fmt.Errorf("%w: FileSize is %d, got %d bytes", store.ErrMismatch, o.info.FileSize, obj.Length)
	}
	p.size = obj.Length
	opened()
	n, err := io.Copy(p, io.LimitReader(obj.Body, p.size))
	if err == nil && n != p.size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	return verifyFile(o.info, io.NewSectionReader(p.file, 0, p.size))
}

// pullUnsized fetches an archive whose size is not known before its end.
func (s *Server) pullUnsized(p *pull, o *small, obj *blob.Object) error {
	limit := s.limits.ArchiveSize
	file := obj.Body
	if isEncoded(obj.ContentEncoding, o.info.Compression) {
		var err error
		if file, err = codec.NewContentReader(obj.ContentEncoding, obj.Body, codec.ReaderOptions{MaxSize: limit}); err != nil {
			return err
		}
		defer file.Close()
	}
	n, err := io.Copy(p, io.LimitReader(file, limit+1))
	if err != nil {
		return err
	}
	if n > limit {
		return fmt.Errorf("%w: an archive of more than %d bytes", store.ErrTooLarge, limit)
	}
	p.size = n
	return verifyFile(o.info, io.NewSectionReader(p.file, 0, n))
}

// verifyFile reads an archive as stored, and compares it with its narinfo.
func verifyFile(info *narinfo.NarInfo, file io.Reader) error {
	plain, _, err := codec.NewReaderDetect(string(info.Compression), file, codec.ReaderOptions{MaxSize: info.NarSize + 1})
	if err != nil {
		return err
	}
	defer plain.Close()
	h := nixhash.New(nixhash.SHA256)
	n, err := io.Copy(h, plain)
	if err != nil {
		return err
	}
	if n != info.NarSize || h.Digest() != info.NarHash {
		return fmt.Errorf("%w: the archive of %s is another one than its narinfo says", store.ErrMismatch, info.Path)
	}
	return nil
}

// keepPull stores a fetched archive. The path becomes visible in the cache
// itself once all its references are there; until then its narinfo still comes
// from the upstream.
func (s *Server) keepPull(p *pull, info *narinfo.NarInfo) error {
	pending, err := s.cache.Prepare(s.ctx, &info.PathInfo, io.NewSectionReader(p.file, 0, p.size), store.AddOptions{Encoded: info})
	if err != nil {
		return err
	}
	key := archiveKeyOf(info)
	s.keptFiles.put(s.keptFiles.now(), key, pending.NarInfo(), overhead, originTTL)
	s.kept.publish(s.ctx, pending, s.log)
	// Narinfos that come from now on find the archive kept.
	twins, _ := s.origins.get(key)
	for _, o := range twins {
		s.keepTwin(o)
	}
	return nil
}

// Write appends to the file.
func (p *pull) Write(b []byte) (int, error) {
	n, err := p.file.WriteAt(b, p.have)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.have += int64(n)
	p.changed()
	return n, err
}

func (p *pull) changed() {
	close(p.wake)
	p.wake = make(chan struct{})
}

func (p *pull) join() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users++
}

func (p *pull) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users--; p.users == 0 && p.file != nil {
		p.file.Close()
		os.Remove(p.file.Name())
	}
}

// ready returns how much can be handed out, and a channel that closes when that
// changes.
func (p *pull) ready() (n int64, changed <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.err != nil:
		return 0, nil, p.err
	case p.done:
		return p.size, nil, nil
	}
	return min(p.have, max(p.size-heldBack, 0)), p.wake, nil
}

// pullReader reads a part of a pull.
type pullReader struct {
	ctx context.Context
	p   *pull
	at  int64
	end int64
}

func (r *pullReader) Read(b []byte) (int, error) {
	for {
		if r.at >= r.end {
			return 0, io.EOF
		}
		n, changed, err := r.p.ready()
		if err != nil {
			return 0, err
		}
		if n = min(n, r.end); n > r.at {
			got, err := r.p.file.ReadAt(b[:min(int64(len(b)), n-r.at)], r.at)
			r.at += int64(got)
			if err == io.EOF && got > 0 {
				err = nil
			}
			return got, err
		}
		select {
		case <-changed:
		case <-r.ctx.Done():
			return 0, context.Cause(r.ctx)
		}
	}
}

// Close does nothing: the entity leaves the pull.
func (r *pullReader) Close() error { return nil }
