// Package linked keeps coders of foreign libraries, which a program sets while
// it initialises. They are nil in a program that is Go alone.
package linked

// ZstdEncode appends one frame of src to dst. It is safe for concurrent use. The
// frame states its content size.
var ZstdEncode func(dst, src []byte, level int) ([]byte, error)

// ZstdDecode appends what one frame decodes to, which is at most size bytes. It
// is safe for concurrent use.
var ZstdDecode func(dst, frame []byte, size int) ([]byte, error)
