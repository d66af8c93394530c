package nar

import (
	"errors"
	"io"
	"sync"
)

const (
	blockSize = 256 << 10 // of the pieces in which Dump hands on bytes
	maxBlocks = 4         // that one Dump uses
)

var blockPool = sync.Pool{New: func() any { return new([blockSize]byte) }}

// errStopped ends the producer when the consumer has failed.
var errStopped = errors.New("nar: stopped")

// blockSink hands full blocks from the goroutine that reads files to the one
// that writes the NAR, and empty ones back.
type blockSink struct {
	full  chan []byte
	free  chan []byte
	stop  chan struct{}
	taken []*[blockSize]byte // from the pool
}

// put implements sink.
func (s *blockSink) put(b []byte) ([]byte, error) {
	s.full <- b // has room for all there are
	return s.get()
}

// get returns an empty block.
func (s *blockSink) get() ([]byte, error) {
	if len(s.taken) < maxBlocks {
		select {
		case b := <-s.free:
			return b[:0], nil
		default:
		}
		b := blockPool.Get().(*[blockSize]byte)
		s.taken = append(s.taken, b)
		return b[:0], nil
	}
	select {
	case b := <-s.free:
		return b[:0], nil
	case <-s.stop:
		return nil, errStopped
	}
}

// inBackground runs produce in a goroutine, with a sink and a first buffer for
// it, and writes what comes out of it to w. When it returns the goroutine has
// ended; a panic of produce goes on in the calling one.
func inBackground(w io.Writer, produce func(sink, []byte) error) (err error) {
	s := &blockSink{
		full: make(chan []byte, maxBlocks),
		free: make(chan []byte, maxBlocks),
		stop: make(chan struct{}),
	}
	produced := errStopped // should produce end by runtime.Goexit
	var panicked any
	go func() {
		defer close(s.full)
		defer func() { panicked = recover() }()
		b, _ := s.get()
		produced = produce(s, b)
	}()
	defer func() { // also when w panics
		close(s.stop)
		for range s.full {
		}
		for _, b := range s.taken {
			blockPool.Put(b)
		}
		if panicked != nil {
			panic(panicked)
		}
		if err == nil {
			err = produced
		}
	}()
	out := writerSink{w}
	for b := range s.full {
		if _, err := out.put(b); err != nil {
			return err
		}
		s.free <- b
	}
	return nil
}
