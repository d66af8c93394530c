// Package codec compresses and decompresses streams by the names that Nix
// binary caches use, in the Compression field of a narinfo and in the HTTP
// header Content-Encoding.
//
//	r, err := codec.NewReader("xz", body, codec.ReaderOptions{MaxSize: info.NarSize})
//
// # Codecs
//
//	name      writes  levels (default)  parallel pieces  memory to read
//	none      yes     –                 –                –
//	br        yes     1 … 11 (5)        –                twice the window, of at most 16 MiB
//	bzip2     no      –                 –                4 MiB
//	compress  no      –                 –                0.3 MiB
//	gzip      yes     1 … 9 (6)         1 MiB            0.1 MiB
//	lz4       yes     1 … 9 (1)         4 MiB            2 blocks, of at most 8 MiB
//	lzip      yes     1 … 9 (6)         8 MiB            the dictionary
//	lzma      yes     1 … 9 (6)         –                the dictionary
//	xz        yes     1 … 9 (6)         8 MiB            the dictionary
//	zstd      yes     … 22 (3)          4 MiB            the window
//
// A stream states the size of its dictionary or window, up to
// [ReaderOptions].MaxMemory. Only MaxSize bounds the decompressed data: a few
// bytes can decode to any number. Decoders are pure Go, work in the goroutine
// that reads, and are reused. With [ReaderOptions].Parallel, zstd frames of up to
// 4 MiB are decoded ahead on other cores, two at a time, which takes another
// 20 MiB.
//
// Of the formats that Nix knows, this package lacks grzip, lrzip and lzop.
// [Register] adds codecs for them, faster codecs for the others, or a writer for
// bzip2.
//
// # Pieces
//
// zstd is always written as a sequence of frames of 4 MiB of input, each with
// its content size and a checksum, so that the output does not depend on the
// number of cores. gzip, lz4, lzip and xz are written as a sequence of members,
// frames or streams if [WriterOptions].Parallel is set, and as a single one
// otherwise. Every tool of the formats, and Nix, reads such sequences.
//
// zstd data of more than one piece ends in a seek table, a skippable frame of the
// zstd seekable format, which every decoder skips. [FindIndex] reads it, and
// the index of xz data, so that [Index.NewReaderAt] decodes a part of the data
// without the rest. [BuildIndex] makes the index of zstd data that carries none.
//
// A parallel writer with n workers has at most 2n+3 buffers of the size of a
// piece, and n encoders. The whole process compresses at most GOMAXPROCS pieces
// at a time, with one encoder each. An encoder takes about 7 MB for zstd (5 MB up
// to level 2, 10 MB from level 6, 41 MB from level 10), 1 MB for gzip, 2 MB for
// lz4, and 7 times the dictionary for xz, lzip and lzma, whose dictionary is not
// made larger than the input. A store object of up to 128 KiB takes a buffer of
// that size. All buffers and encoders except those of the xz family are reused.
//
// # Levels
//
// The levels of zstd are those of the zstd command, mapped to the four settings
// of the encoder. On program sources and machine code, without parallel writing,
// the sizes and times of a setting were like those of the command's levels on the
// right:
//
//	level    setting  size like  time like
//	to 2     fastest  1          4
//	3 … 5    default  2 … 3      5
//	6 … 9    better   4 … 5      8
//	10 … 22  best     7          12
//
// The levels of xz, lzip and lzma choose dictionaries as in the xz command, 1
// to 64 MiB; the time hardly changes, and the output is about 25 % larger than
// that of the command. gzip, lz4 and br have the levels of their commands.
package codec
