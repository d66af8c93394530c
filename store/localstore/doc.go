// Package localstore reads the store of a Nix or Lix installation, so that its
// paths can be copied into binary caches:
//
//	src, err := localstore.Open(ctx, localstore.Options{})
//	…
//	defer src.Close()
//	report, err := store.Copy(ctx, cache, src, roots, store.CopyOptions{})
//
// A local store is a directory of store objects and an SQLite database that
// says which of them are valid, with their hashes and references (Nix manual,
// "Local Store"; schema 10, which is that of Nix 2.0 and later and of Lix). The
// daemon is not needed, and neither are any rights but to read.
//
// # Nothing is written
//
// Nix and its daemon may use the store meanwhile. In the modes in which they
// keep the database, a reader sees what was committed last, and never half of
// it; and it leaves no file behind, as SQLite's usual readers of a database in
// WAL mode do.
package localstore
