package otelblob

import (
	"cmp"
	"context"
	"io"
	"sync"

	"example.com/nixs3/store/blob"
)

// body ends the operation when it is closed, which may be while another
// goroutine is in Read.
type body struct {
	io.ReadCloser
	ctx  context.Context
	op   *operation
	once sync.Once

	mu  sync.Mutex
	n   int64
	err error // the first one of Read
}

func (r *body) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n += int64(n)
	if err != io.EOF {
		r.err = cmp.Or(r.err, err)
	}
	return n, err
}

func (r *body) Close() error {
	err := r.ReadCloser.Close()
	r.once.Do(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.op.read = r.n
		r.op.end(r.ctx, cmp.Or(r.err, err))
	})
	return err
}

// staged ends the operation when it is committed or discarded.
type staged struct {
	blob.Staged
	ctx  context.Context
	op   *operation
	n    int64
	err  error // the first one of Write
	once sync.Once
}

func (s *staged) Write(p []byte) (int, error) {
	n, err := s.Staged.Write(p)
	s.n += int64(n)
	s.err = cmp.Or(s.err, err)
	return n, err
}

func (s *staged) Commit(key string, opts blob.PutOptions) (blob.Attrs, error) {
	attrs, err := s.Staged.Commit(key, opts)
	s.once.Do(func() {
		s.op.class = class(key)
		if err == nil {
			s.op.written = s.n
		}
		s.op.end(s.ctx, err)
	})
	return attrs, err
}

func (s *staged) Close() error {
	err := s.Staged.Close()
	s.once.Do(func() {
		s.op.end(s.ctx, cmp.Or(s.err, err))
	})
	return err
}
