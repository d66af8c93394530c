package nar

import (
	"io"
	"sync"
)

const (
	blockSize = 512 << 10 // smaller ones cost a tenth more CPU time when w hashes
	maxBlocks = 4         // of one Dump
)

var blockPool = sync.Pool{New: func() any { return new([blockSize]byte) }}

// blockSink hands full blocks to the goroutine that writes the NAR, and receives
// empty ones in return.
type blockSink struct {
	full  func([]byte) error
	free  chan []byte
	taken []*[blockSize]byte // from the pool
}

// put implements sink.
func (s *blockSink) put(b []byte) ([]byte, error) {
	if err := s.full(b); err != nil {
		return nil, err
	}
	return s.get(), nil
}

// get returns an empty block.
func (s *blockSink) get() []byte {
	select {
	case b := <-s.free:
		return b[:0]
	default:
	}
	if len(s.taken) < maxBlocks {
		b := blockPool.Get().(*[blockSize]byte)
		s.taken = append(s.taken, b)
		return b[:0]
	}
	return (<-s.free)[:0]
}

// writeInBackground runs produce in a goroutine, and writes the output of its
// Writer to w from the calling one.
func writeInBackground(w io.Writer, produce func(*Writer) error) error {
	s := &blockSink{free: make(chan []byte, maxBlocks)}
	out := writerSink{w}
	recycle := func(b []byte) { s.free <- b }
	defer func() {
		for _, b := range s.taken {
			blockPool.Put(b)
		}
	}()
	return background(maxBlocks,
		func(put func([]byte) error) error {
			s.full = put
			return produce(newWriter(s, s.get()))
		},
		func(b []byte) error {
			defer recycle(b)
			_, err := out.put(b)
			return err
		},
		recycle)
}
