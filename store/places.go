package store

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
)

// places are the shares of the budget that an operation acquires before it
// begins. Everything is acquired in this order, also by one goroutine from
// several caches:
//
//	reads     an archive that is open for reading
//	reading   bytes to decompress it
//	paths     the path that is added
//	writes    an archive that is added
//	adding    bytes to decompress and compress it, in one acquisition
//	small     a narinfo that is encoded and sent
//	requests  a request that is under way
//
// An archive of one cache is open for reading while it is added to another. So
// all places for reading come before all places for adding, and no place for
// reading is acquired while one for adding is held. Otherwise two copies in
// opposite directions could wait for each other forever.
//
// ahead, the bytes of decoders that use several cores, is acquired only if it is
// free.
type places struct {
	reads, reading *gate
	paths          keyedMutex
	writes, adding *gate
	small          *gate
	requests       *gate
	ahead          *gate
}

func newPlaces(b *Budget) *places {
	return &places{
		reads:    newGate(int64(b.Transfers)),
		reading:  newGate(b.reading()),
		writes:   newGate(int64(b.Transfers)),
		adding:   newGate(b.adding()),
		small:    newGate(int64(b.Requests)),
		requests: newGate(int64(b.Requests)),
		ahead:    newGate(b.ahead()),
	}
}

// readingPlace is the place of an archive that is decompressed for a reader.
type readingPlace struct {
	parallel bool // there is memory for several cores
	leave    func()
}

// read acquires the place for decompressing an archive. It uses several cores
// only if memory for them is free: many archives keep the cores busy anyway.
func (p *places) read(ctx context.Context, info *narinfo.NarInfo) (readingPlace, error) {
	leave, err := p.reading.enter(ctx, decoderMemory(info.Compression, info.NarSize))
	if err != nil {
		return readingPlace{}, err
	}
	leaveAhead, ok := p.ahead.try(aheadMemory(info.Compression, info.NarSize))
	return readingPlace{parallel: ok, leave: func() { leaveAhead(); leave() }}, nil
}

// addingPlace is the place of an archive that is added.
type addingPlace struct {
	leaveMemory func() // frees the memory, once the archive is only sent
	leave       func() // frees everything
}

// add acquires the place for adding an archive.
func (p *places) add(ctx context.Context, memory int64) (addingPlace, error) {
	leaveWrites, err := p.writes.enter(ctx, 1)
	if err != nil {
		return addingPlace{}, err
	}
	leaveMemory, err := p.adding.enter(ctx, memory)
	if err != nil {
		leaveWrites()
		return addingPlace{}, err
	}
	return addingPlace{leaveMemory: leaveMemory, leave: func() { leaveMemory(); leaveWrites() }}, nil
}

// gate is a semaphore that cuts weights to its size, so that a larger one runs
// alone.
type gate struct {
	sem  *semaphore.Weighted
	size int64
}

func newGate(size int64) *gate { return &gate{semaphore.NewWeighted(size), size} }

// enter waits for a place. The returned function frees it, and may be called more
// than once and by any goroutine.
func (g *gate) enter(ctx context.Context, weight int64) (leave func(), err error) {
	weight = min(max(weight, 0), g.size)
	if err := g.sem.Acquire(ctx, weight); err != nil {
		return nil, context.Cause(ctx)
	}
	return sync.OnceFunc(func() { g.sem.Release(weight) }), nil
}

// try takes a place if one is free now, and reports whether it did. A weight of
// zero acquires nothing.
func (g *gate) try(weight int64) (leave func(), ok bool) {
	if weight <= 0 || !g.sem.TryAcquire(weight) {
		return func() {}, false
	}
	return sync.OnceFunc(func() { g.sem.Release(weight) }), true
}

// keyedMutex lets one caller at a time work on a path, so that several
// additions of a path within a process do the work once.
type keyedMutex struct {
	mu   sync.Mutex
	held map[storepath.Path]chan struct{}
}

// lock waits until no other caller holds the path, and reports whether it had to.
// unlock may be called more than once.
func (k *keyedMutex) lock(ctx context.Context, p storepath.Path) (unlock func(), waited bool, err error) {
	for {
		k.mu.Lock()
		busy, ok := k.held[p]
		if !ok {
			if k.held == nil {
				k.held = map[storepath.Path]chan struct{}{}
			}
			mine := make(chan struct{})
			k.held[p] = mine
			k.mu.Unlock()
			return sync.OnceFunc(func() {
				k.mu.Lock()
				delete(k.held, p)
				k.mu.Unlock()
				close(mine)
			}), waited, nil
		}
		k.mu.Unlock()
		waited = true
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, waited, context.Cause(ctx)
		}
	}
}
