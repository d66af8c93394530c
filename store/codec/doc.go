// Package codec compresses and decompresses streams by the names that Nix
// binary caches use: none, br, bzip2, gzip, lz4, lzip, lzma, xz and zstd.
// Further codecs, and faster ones, can be brought with [Register].
package codec
