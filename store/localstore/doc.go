// Package localstore reads the store of a Nix or Lix installation, so that its
// paths can be copied into binary caches:
//
//	src, err := localstore.Open(ctx, localstore.Options{})
//	…
//	defer src.Close()
//	report, err := store.Copy(ctx, cache, src, roots, store.CopyOptions{})
//
// A local store is a directory of store objects and an SQLite database that
// lists the valid ones with their hashes and references (Nix manual, "Local
// Store"). This package reads schema 10, which Nix 2.0 and later and Lix use. It
// needs no daemon, and only the permission to read.
//
// # Nothing is written
//
// Nix and its daemon may use the store at the same time. In the journal modes of
// Nix, a reader sees the last committed state, and never a part of a transaction.
// SQLite's usual readers of a database in WAL mode leave files beside it; this
// package does not.
package localstore
