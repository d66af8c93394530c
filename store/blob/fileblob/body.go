package fileblob

import (
	"context"
	"io"
	"os"

	"example.com/nixs3/store/blob"
)

// body is an open part of a file.
type body struct {
	ctx  context.Context
	file *os.File
	rest int64 // bytes left to read
}

// step is how much is moved between two checks of the context, in bytes.
const step = 4 << 20

func newObject(ctx context.Context, f *os.File, a blob.Attrs, opts blob.GetOptions) (*blob.Object, error) {
	if opts.IfMatch != "" && opts.IfMatch != a.ETag {
		return nil, blob.ErrPrecondition
	}
	offset, length, err := opts.Range(a.Size)
	if err != nil {
		return nil, err
	}
	if offset > 0 {
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			return nil, err
		}
	}
	return &blob.Object{Attrs: a, Offset: offset, Length: length, Body: &body{ctx: ctx, file: f, rest: length}}, nil
}

func (b *body) Read(p []byte) (int, error) {
	if b.ctx.Err() != nil {
		return 0, context.Cause(b.ctx)
	}
	if b.rest == 0 {
		return 0, io.EOF
	}
	n, err := b.file.Read(p[:min(int64(len(p)), step, b.rest)])
	b.rest -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // the file was cut in the meantime
	}
	return n, err
}

// WriteTo gives the file itself to a writer that can use one: sockets and files
// let the kernel move the bytes.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	var written int64
	for b.rest > 0 {
		if b.ctx.Err() != nil {
			return written, context.Cause(b.ctx)
		}
		n, err := io.CopyN(w, b.file, min(step, b.rest))
		written += n
		b.rest -= n
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

func (b *body) Close() error { return b.file.Close() }
