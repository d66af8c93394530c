// Package store reads and writes Nix binary caches: it does what the S3, file and
// HTTP binary cache stores of Nix and Lix do, and copies and deletes closures.
//
// # Reading and writing
//
// [Open] takes a store URL as Nix does, [New] any bucket of package blob. Both
// return a cache. [Cache.PathInfo] and [Cache.NAR] read paths, [AddPath] and
// [Cache.Add] add them:
//
//	cache, err := store.Open(ctx, "s3://bucket?region=eu-west-1", store.WithSigners(key))
//	…
//	info, err := store.AddPath(ctx, cache, "./result", store.AddPathOptions{})
//
// [Copy] copies closures between any two stores, and [Restore] writes a path to
// disk.
//
// # What holds
//
// After any failure, at any time, a path is visible in a cache only when its
// archive is stored whole, NarHash and NarSize were computed from the bytes that
// were sent, and all its references are visible too. A failure leaves at most
// unreferenced objects. An archive is verified while it is read: reading a wrong
// archive returns an error, never io.EOF.
//
// # Bounds
//
// Memory, goroutines and requests at a time depend neither on the size of
// archives nor on the number of paths nor on the data received; [Budget] states
// the bounds.
// Cancelling a context ends everything that was begun with it. No goroutine
// outlives its call; those of an open archive end with its Close.
//
// Only the calling goroutine calls a caller's reader or writer. A blocked call
// cannot be interrupted, unless the reader is an [Interrupter].
package store
