package blob

// Wrapper is implemented by buckets that stand in front of another one and
// change nothing of it but how it is reached: an object has the same key,
// bytes and attributes in both. A bucket that changes any of these is not a
// Wrapper, since what reaches through it would get past the change.
type Wrapper interface {
	Bucket

	// Unwrap returns the bucket behind.
	Unwrap() Bucket

	// As is how the wrapper stands in front of an optional interface of the
	// bucket behind. Where target points to a variable of such a type and the
	// bucket behind has it too, As sets the variable and returns true.
	As(target any) bool
}

// As returns b as a T: one of the optional interfaces of this package, or the
// type of a driver. It looks at b, at what b as a [Wrapper] gives, and then at
// the bucket behind it. Use it instead of a type assertion, so that wrapped
// buckets keep what they can do.
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
