// Package nar reads, writes, checks, lists and restores NARs, the archive
// format of Nix store objects.
//
// A NAR holds one file system object: a regular file, a symbolic link or a
// directory of such. Of these it holds names, contents, link targets and whether
// a file is executable, and nothing else. Equal trees have equal NARs, byte
// by byte, so the hash of a NAR identifies the tree. The format is
// described in "Nix Archive (NAR) format" of the Nix manual:
//
//	nar       = str("nix-archive-1") node
//	node      = str("(") str("type") (regular | symlink | directory) str(")")
//	regular   = str("regular") [str("executable") str("")] str("contents") str(bytes)
//	symlink   = str("symlink") str("target") str(target)
//	directory = str("directory") { str("entry") str("(") str("name") str(name) str("node") node str(")") }
//
// where str is the length as a 64-bit little-endian number, the bytes, and zero
// bytes up to a multiple of eight.
//
// This package enforces the rules of Nix in both directions:
//
//   - a name has 1 to 255 bytes, is not "." or "..", and has no slash and no
//     NUL; any other byte is allowed, so a name need not be UTF-8;
//   - the names of a directory are strictly increasing in byte order;
//   - a link target has 1 to 4095 bytes and no NUL;
//   - a node has fewer than 64 directories above it;
//   - padding is zero, tags come in exactly this order, and a NAR that ends
//     early is an error that wraps [io.ErrUnexpectedEOF].
//
// [Reader] and [Writer] work entry by entry, in the manner of archive/tar.
// [Dump], [DumpFS] and [Restore] move whole trees. [Validator] checks a NAR, and
// [ListingWriter] lists it, while its bytes are copied elsewhere. [FS] opens the
// files of a NAR that can be read at any offset.
//
// Input is not trusted. Memory does not depend on the lengths, the depth or the
// size that a NAR claims, and the time to read a NAR is linear in its size. What
// recurses over a tree recurses at most 64 levels, the bound of nesting.
package nar
