package nar

import "io"

// Validator is an [io.Writer] that checks that the bytes written to it are
// exactly one NAR. A stream that is copied into it needs no second pass. It
// takes constant memory and does not look at contents. It is not safe for
// concurrent use.
type Validator struct {
	m     machine
	visit func(*machine) error

	part []byte // the beginning of a token that was split between two writes
	err  error
}

// NewValidator returns a Validator. It calls visit, which may be nil, for each
// file system object once its header is complete. The Header is valid during the
// call. Write returns an error of visit unchanged and stops there.
func NewValidator(visit func(*Header) error) *Validator {
	v := &Validator{}
	if visit != nil {
		v.visit = func(m *machine) error {
			h := m.header()
			return visit(&h)
		}
	}
	return v
}

// Write checks the next bytes of the NAR. It fails with a [*FormatError] at the
// first byte that cannot belong to one. After an error every call returns the
// same error.
func (v *Validator) Write(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	rest, err := v.check(p)
	v.err = err
	return len(p) - len(rest), err
}

// Close fails with a [*FormatError] that wraps io.ErrUnexpectedEOF unless the
// NAR is complete.
func (v *Validator) Close() error {
	if v.err == nil && v.m.state != atEnd {
		v.err = v.m.truncated(v.m.off + int64(len(v.part)))
	}
	return v.err
}

// check returns the bytes that it did not check.
func (v *Validator) check(p []byte) ([]byte, error) {
	for len(p) > 0 {
		if left := v.m.left; left > 0 {
			n := min(left, int64(len(p)))
			v.m.take(n)
			p = p[n:]
			continue
		}
		if v.m.state == atEnd {
			return p, v.m.errorf("bytes after the end of the NAR")
		}
		b := p
		if len(v.part) > 0 {
			n := min(v.m.need-len(v.part), len(p))
			v.part = append(v.part, p[:n]...)
			b, p = v.part, p[n:]
		}
		n, err := v.step(b)
		switch {
		case err != nil:
			return p, err
		case len(v.part) > 0:
			if n > 0 {
				v.part = v.part[:0]
			}
		case n == 0:
			v.part = append(v.part, p...)
			return nil, nil
		default:
			p = p[n:]
		}
	}
	return nil, nil
}

func (v *Validator) step(b []byte) (int, error) {
	n, ev, err := v.m.step(b)
	if err == nil && ev == evNode && v.visit != nil {
		err = v.visit(&v.m)
	}
	return n, err
}

var _ io.WriteCloser = (*Validator)(nil)
