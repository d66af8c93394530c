// Package storepath holds the names of store objects: paths, the directory
// they are in, and the content addresses that some are computed from.
//
// A store path is a store directory, a slash, and a base name:
//
//	/nix/store/jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0
//	└── Dir ─┘ └────────── Path.HashPart ─────┘ └─ Path.Name
//
// The base name alone is what a binary cache mostly speaks of, so [Path] is
// the base name, and [Dir] puts the directory before it or takes it off.
//
// The rules are those of the chapters "Store Path" and "Complete Store Path
// Calculation" in the Nix manual.
package storepath
