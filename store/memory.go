package store

import (
	"example.com/nixs3/narinfo"
	"example.com/nixs3/store/codec"
)

// What the codecs hold while they run, in bytes, as the comment of package
// codec has it. The budget is charged with these before an archive moves.
const (
	zstdEncoder = 7 << 20
	zstdPiece   = 4 << 20
	xzEncoder   = 7 * 8 << 20
	xzPiece     = 8 << 20
	otherCodec  = 4 << 20
	window      = 8 << 20  // of a decoder, unless a stream asks for more
	zstdAhead   = 20 << 20 // frames that are decoded beside each other
)

// pieces is how many pieces a parallel writer holds.
func pieces(workers int64) int64 { return 2*workers + 3 }

// encoderMemory is what compressing an archive may hold, with the buffers
// between the stations. A small archive needs little of any codec; an unknown
// size counts as a large one.
func encoderMemory(name narinfo.Compression, o codec.WriterOptions, narSize int64) int64 {
	if narSize <= 0 {
		narSize = 1 << 40
	}
	workers := int64(max(o.Workers, 1))
	held := int64(1)
	if o.Parallel {
		held = pieces(workers)
	}
	var full int64
	switch name {
	case codec.None:
	case narinfo.CompressionZstd:
		full = workers*zstdEncoder + held*zstdPiece
	case narinfo.CompressionXz, narinfo.CompressionLzip, narinfo.CompressionLzma:
		full = workers*xzEncoder + held*xzPiece
	default:
		full = (workers + held) * otherCodec
	}
	return min(full, 2*min(narSize, full)+1<<20) + min(narSize, fanMemory) + spoolMemory
}

// zstdWorkers is how many cores can compress an archive in a part of the budget.
func zstdWorkers(memory int64) int {
	fixed := pieces(0)*zstdPiece + fanMemory + spoolMemory + 1<<20
	each := zstdEncoder + (pieces(1)-pieces(0))*zstdPiece
	return int(max((memory-fixed)/each, 1))
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

// aheadMemory is what decompressing an archive on several cores may hold
// besides, 0 where that is not done.
func aheadMemory(name narinfo.Compression, narSize int64) int64 {
	if name != narinfo.CompressionZstd {
		return 0
	}
	return min(zstdAhead, 5*min(narSize, zstdAhead)) // two frames in, three out
}

// passMemory is what passing on an archive may hold that is decompressed beside
// that to verify it.
func passMemory(name narinfo.Compression, narSize int64) int64 {
	return decoderMemory(name, narSize) + min(narSize, fanMemory)
}
