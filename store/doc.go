// Package store reads and writes Nix binary caches, whole: what Nix's and
// Lix's own S3, file and HTTP binary cache stores do, and what is done with
// whole caches.
//
// # Reading and writing
//
// [Open] takes a store URL as Nix does, [New] any bucket of package blob. Both
// give a cache from which paths are read by [BinaryCacheStore.PathInfo] and
// [BinaryCacheStore.NAR], and to which they are added:
//
//	cache, err := store.Open(ctx, "s3://bucket?region=eu-west-1", store.WithSigners(key))
//	…
//	info, err := store.AddPath(ctx, cache, "./result", store.AddPathOptions{})
//
// [Copy] copies closures between any two stores, and [Restore] puts a path on
// disk.
//
// # What holds
//
// Whatever fails, and whenever, a path is visible in a cache only when its
// archive is stored whole, NarHash and NarSize were computed from the bytes that
// were sent, and all its references are visible too. A failure leaves at most
// objects that nothing refers to. What is read is verified while it streams:
// the reader sees an error before it could see the end of a wrong archive.
//
// # Bounds
//
// Memory does not depend on the size of archives, on how many paths are under
// way or on what the other side sends; [Budget] says what it does depend on.
// Cancelling a context ends all that was begun with it; no goroutine outlives
// its call, and those of an open archive end with its Close.
//
// A reader or writer that a caller passes in is called from the calling
// goroutine alone, and cannot be interrupted while it blocks.
package store
