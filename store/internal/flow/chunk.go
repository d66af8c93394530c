package flow

import (
	"sync"
	"sync/atomic"
)

const (
	// ChunkSize is the size in bytes of a buffer that all readers of a fan
	// share.
	ChunkSize = 256 << 10

	chunkQueue = 3 // chunks that wait for one reader

	// FanMemory is the number of bytes that a fan holds at most, whatever the
	// number of its readers.
	FanMemory = (chunkQueue + 3) * ChunkSize
)

// chunk is a buffer that returns to the pool when its last holder releases it.
type chunk struct {
	data []byte
	refs atomic.Int32
}

var chunkPool = sync.Pool{New: func() any { return &chunk{data: make([]byte, 0, ChunkSize)} }}

func newChunk() *chunk {
	c := chunkPool.Get().(*chunk)
	c.data = c.data[:0]
	return c
}

func (c *chunk) room() []byte { return c.data[len(c.data):cap(c.data)] }

func (c *chunk) extend(n int) { c.data = c.data[:len(c.data)+n] }

func (c *chunk) release() {
	if c.refs.Add(-1) == 0 {
		chunkPool.Put(c)
	}
}
