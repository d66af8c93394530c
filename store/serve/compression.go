package serve

import (
	"strings"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/store/layout"
)

// compressions are those whose archives have an extension of their own.
var compressions = []narinfo.Compression{
	narinfo.CompressionXz, narinfo.CompressionBzip2, narinfo.CompressionZstd, "lzip",
	"lz4", narinfo.CompressionBrotli,
}

// compressionOf returns the compression that the key of an archive names, ""
// for one without an extension, which has none or one that Nix gives no
// extension.
func compressionOf(key string) narinfo.Compression {
	for _, c := range compressions {
		if strings.HasSuffix(key, layout.ArchiveKey(nixhash.Hash{}, c)[len(layout.ArchiveKey(nixhash.Hash{}, "")):]) {
			return c
		}
	}
	return ""
}
