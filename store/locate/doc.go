// Package locate finds the store paths of a cache that have a file, such as
// bin/hello. [Update] makes an index of all files from the listings of the
// cache; [Open] reads it.
//
//	report, err := locate.Update(ctx, cache, locate.Options{})
//	…
//	index, err := locate.Open(ctx, cache)
//	…
//	defer index.Close()
//	pattern, err := locate.ParsePattern("bin/hello")
//	…
//	for match, err := range index.Find(pattern) {
//
// The index is one object of the cache, nixs3/index/files, or a local file. It
// takes about as much space as "find" prints for all paths, compressed by zstd.
// Finding reads all of it as a stream, in a few MiB of memory.
//
// Garbage collectors keep the index. After a collection it names paths that are
// gone, until the next Update. Mirrors do not copy it, and package serve does not
// serve it: what they have differs from the cache. No signature covers it; it
// claims no more than the listings do.
package locate
