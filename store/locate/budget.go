package locate

import (
	"context"

	"golang.org/x/sync/semaphore"
)

const (
	// memory bounds the listings that are read at a time, by what they are
	// estimated to take. A single one that takes more is read alone.
	memory = 256 << 20

	// perByte is the memory that a listing takes for each stored byte. Package
	// nar promises 12 for each byte of JSON; compression adds to that.
	perByte = 24

	// archiveMemory is the memory to decompress and list an archive.
	archiveMemory = 32 << 20
)

// budget bounds the memory of the listings that are read in parallel.
type budget struct{ free *semaphore.Weighted }

func newBudget() *budget { return &budget{semaphore.NewWeighted(memory)} }

// enter waits for the memory of a listing of size bytes, -1 for one that is made
// from an archive.
func (b *budget) enter(ctx context.Context, size int64) (leave func(), err error) {
	need := int64(archiveMemory)
	if size >= 0 {
		need = min(memory, 256<<10+size*perByte)
	}
	if err := b.free.Acquire(ctx, need); err != nil {
		return nil, context.Cause(ctx)
	}
	return func() { b.free.Release(need) }, nil
}
