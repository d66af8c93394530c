// Package storepath has the names of store objects: paths, their directory, and
// the content addresses from which some paths are computed.
//
// A store path is a store directory, a slash, and a base name:
//
//	/nix/store/jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0
//	└── Dir ─┘ └────────── Path.HashPart ─────┘ └─ Path.Name
//
// A binary cache mostly uses the base name alone. So a [Path] is a base name, and
// [Dir] adds or removes the directory.
//
// The rules follow the chapters "Store Path" and "Complete Store Path
// Calculation" of the Nix manual.
package storepath
