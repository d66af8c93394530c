package blob

// Wrapper is implemented by buckets that pass their calls to another bucket and
// keep keys, bytes and attributes as they are. A bucket that changes any of
// these is not a Wrapper, since a call that reaches through it would bypass the
// change.
type Wrapper interface {
	Bucket

	// Unwrap returns the other bucket.
	Unwrap() Bucket

	// As wraps an optional interface of the other bucket. If target points to
	// a variable of such a type and the other bucket implements it, As sets the
	// variable and returns true.
	As(target any) bool
}

// As returns b as a T: an optional interface of this package, or the type of a
// driver. It tries b, then b's As if b is a [Wrapper], then the bucket that b
// wraps. Use it instead of a type assertion, so that wrapped buckets keep their
// abilities.
func As[T any](b Bucket) (T, bool) {
	for {
		if t, ok := b.(T); ok {
			return t, true
		}
		var t T
		w, ok := b.(Wrapper)
		if !ok {
			return t, false
		}
		if w.As(&t) {
			return t, true
		}
		b = w.Unwrap()
	}
}
