package flow

import "io"

// Reader is one of the readers of a fan.
type Reader struct {
	fan  *Fan
	in   chan *chunk
	cur  *chunk
	pos  int
	gone chan struct{}
	left bool
}

// next makes the current chunk one that has unread bytes.
func (r *Reader) next() error {
	if r.left {
		return ErrReaderLeft
	}
	for r.cur == nil || r.pos == len(r.cur.data) {
		if r.cur != nil {
			r.cur.release()
			r.cur, r.pos = nil, 0
		}
		if err := r.fan.Err(); err != nil {
			return err
		}
		select {
		case c, ok := <-r.in:
			if !ok {
				return io.EOF
			}
			r.cur = c
		case <-r.fan.done:
			return r.fan.err
		}
	}
	return nil
}

// Read returns the fan's failure as soon as the bytes at hand are read.
func (r *Reader) Read(p []byte) (int, error) {
	if err := r.next(); err != nil {
		return 0, err
	}
	n := copy(p, r.cur.data[r.pos:])
	r.pos += n
	return n, nil
}

// WriteTo hands the chunks on without copying them.
func (r *Reader) WriteTo(w io.Writer) (total int64, err error) {
	for {
		if err := r.next(); err != nil {
			if err == io.EOF {
				err = nil
			}
			return total, err
		}
		n, err := w.Write(r.cur.data[r.pos:])
		r.pos += n
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}

// Leave lets the writer go on without this reader. It may be called twice.
func (r *Reader) Leave() {
	if r.left {
		return
	}
	r.left = true
	close(r.gone)
	if r.cur != nil {
		r.cur.release()
		r.cur = nil
	}
}
