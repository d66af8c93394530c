// Package libzstd lets [example.com/nixs3/store/codec] compress and decompress
// the frames of zstd by the C library. A program imports it for that effect, and
// is built with cgo and the tag libzstd:
//
//	import _ "example.com/nixs3/store/codec/libzstd"
//
// Without both the package is empty, and zstd is the one in Go. The archives have
// the same frames and seek table either way. All levels from -131072 to 22 are
// those of the library then. Frames of more than 4 MiB are decompressed in Go.
package libzstd
