package store

import (
	"fmt"
	"time"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/internal/flow"
)

// minMemory is the smallest Budget.Memory.
const minMemory = 1 << 20

// Budget bounds the resources that all operations of one Cache use at a time. The
// zero value of a field is its default.
//
// Goroutines: reading an archive takes two, adding one up to four, besides those
// of its codec, which compress or decompress on several cores.
// Checking the references of a path, and reading all narinfos, take as many as
// Requests. A copy adds at most 256 for its archives, 128 for its lookups and
// 64 for its narinfos.
type Budget struct {
	// Memory in bytes that codecs and their buffers may hold, in three parts:
	// 15/32 for adding archives, 12/32 for reading them and 5/32 for
	// decompressing on several cores. An archive that needs more than its part
	// has the part to itself. Default 128 MiB, which is enough to compress one
	// archive on three cores and to read four at a time; at least 1 MiB.
	// Every transfer holds at most 2 MiB in addition, and a stream with a
	// window larger than the usual 8 MiB holds that window: 128 MiB at most.
	Memory int64

	// Transfers is the number of archives that are read at a time, and of
	// those that are added. An archive that is open for reading counts until
	// it is read to its end or closed. Default 64: what they hold in memory is
	// bounded by Memory, so that many small ones do not wait for each other.
	Transfers int

	// Requests is the number of requests under way at a time, including those
	// of the transfers. An upload or download in parts counts as one, and
	// listings do not count. Default 64.
	Requests int

	// Stall is the longest time for which the source of an added archive may
	// deliver nothing. After it the addition fails with blob.ErrStalled and
	// frees its place, even if the source's Read does not return. Default 5
	// minutes.
	Stall time.Duration
}

func (b *Budget) setDefaults() {
	if b.Memory == 0 {
		b.Memory = 128 << 20
	}
	if b.Transfers == 0 {
		b.Transfers = 64
	}
	if b.Requests == 0 {
		b.Requests = 64
	}
	if b.Stall == 0 {
		b.Stall = 5 * time.Minute
	}
}

// check refuses a budget with which no operation could run, or none would be
// bounded.
func (b *Budget) check() error {
	switch {
	case b.Memory < minMemory:
		return fmt.Errorf("budget: expected at least %d bytes of memory, got %d", minMemory, b.Memory)
	case b.Transfers < 0:
		return fmt.Errorf("budget: expected a positive number of transfers, got %d", b.Transfers)
	case b.Requests < 0:
		return fmt.Errorf("budget: expected a positive number of requests, got %d", b.Requests)
	case b.Stall < 0:
		return fmt.Errorf("budget: expected a positive stall time, got %v", b.Stall)
	}
	return nil
}

func (b *Budget) adding() int64  { return b.Memory / 32 * 15 }
func (b *Budget) reading() int64 { return b.Memory / 32 * 12 }
func (b *Budget) ahead() int64   { return b.Memory / 32 * 5 }

// The memory of running codecs in bytes, as in the comment of package codec. The
// budget is charged with it before an archive moves.
const (
	zstdEncoder = 7 << 20
	zstdPiece   = 4 << 20
	xzEncoder   = 7 * 8 << 20
	xzPiece     = 8 << 20
	otherCodec  = 4 << 20
	window      = 8 << 20  // of a decoder, unless a stream asks for more
	zstdAhead   = 20 << 20 // frames that are decoded at the same time
)

// pieces is the number of pieces that a parallel writer holds.
func pieces(workers int64) int64 { return 2*workers + 3 }

// encoderMemory is the memory in bytes of compressing an archive, with the
// buffers between the stations. A small archive needs little with any codec; an
// unknown size counts as a large one.
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
	case narinfo.CompressionXz, "lzip", "lzma":
		full = workers*xzEncoder + held*xzPiece
	default:
		full = (workers + held) * otherCodec
	}
	return min(full, 2*min(narSize, full)+1<<20) + min(narSize, flow.FanMemory) + spoolMemory
}

// zstdWorkers is the number of cores that can compress an archive in a part of
// the budget.
func zstdWorkers(memory int64) int {
	fixed := pieces(0)*zstdPiece + flow.FanMemory + spoolMemory + 1<<20
	each := zstdEncoder + (pieces(1)-pieces(0))*zstdPiece
	return int(max((memory-fixed)/each, 1))
}

// decoderMemory is the memory in bytes of decompressing an archive, with the
// buffers between the stations.
func decoderMemory(name narinfo.Compression, narSize int64) int64 {
	full := int64(window)
	if name == codec.None {
		full = 0
	}
	return min(full, narSize) + min(narSize, flow.FanMemory) + flow.ChunkSize
}

// aheadMemory is the additional memory in bytes of decompressing an archive on
// several cores, 0 for codecs that use one.
func aheadMemory(name narinfo.Compression, narSize int64) int64 {
	if name != narinfo.CompressionZstd {
		return 0
	}
	return min(zstdAhead, 5*min(narSize, zstdAhead)) // two frames in, three out
}

// passMemory is the memory in bytes of passing on an archive and decompressing it
// to verify it.
func passMemory(name narinfo.Compression, narSize int64) int64 {
	return decoderMemory(name, narSize) + min(narSize, flow.FanMemory)
}
