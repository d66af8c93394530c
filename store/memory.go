package store

import (
	"example.com/nixs3/narinfo"
	"example.com/nixs3/store/codec"
)

// What the codecs hold while they run, in bytes, measured with their
// benchmarks. The budget is charged with these before an archive moves.
const (
	zstdEncoder = 12 << 20 // one encoder at the default level
	zstdFrame   = 10 << 20 // for each frame that is compressed beside it
	xzEncoder   = 100 << 20
	blockCodec  = 4 << 20 // gzip, bzip2, lz4
	brEncoder   = 24 << 20
	window      = 8 << 20 // a decoder of any of them
)

// encoderMemory is what compressing an archive may hold, with the buffers
// between the stations. A small archive needs little of any codec; an unknown
// size counts as a large one.
func encoderMemory(name narinfo.Compression, o codec.WriterOptions, narSize int64) int64 {
	if narSize <= 0 {
		narSize = 1 << 40
	}
	workers := int64(max(o.Workers, 1))
	var full int64
	switch name {
	case codec.None:
	case narinfo.CompressionZstd:
		full = zstdEncoder
		if o.Parallel {
			full = workers * (zstdEncoder + zstdFrame)
		}
	case narinfo.CompressionXz, narinfo.CompressionLzip, narinfo.CompressionLzma:
		full = workers * xzEncoder
	case narinfo.CompressionBrotli:
		full = brEncoder
	default:
		full = workers * blockCodec
	}
	return min(full, 2*narSize+1<<20) + min(narSize, fanMemory) + spoolMemory
}

// decoderMemory is what decompressing an archive may hold, with the buffers
// between the stations.
func decoderMemory(name narinfo.Compression, narSize int64) int64 {
	full := int64(window)
	if name == codec.None {
		full = 0
	}
	return min(full, narSize) + min(narSize, fanMemory) + chunkSize
}
