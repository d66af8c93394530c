package store

import (
	"cmp"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/internal/flow"
)

// Progress is the progress of a copy.
type Progress struct {
	Paths, PathsTotal int // published, of all that are to be copied
	Present, Upstream int // left out: at the destination already, or served by an upstream

	// NARBytes are those of the archives, uncompressed, with the parts of those
	// under way.
	NARBytes, NARBytesTotal int64

	// FileBytes are read from the source, as it stores them. The total is an
	// estimate where sizes are not known.
	FileBytes, FileBytesTotal int64

	// BytesWritten were sent to a destination that has Stats since the copy
	// began, Requests since the destination was opened. Bytes count while they
	// are sent.
	BytesWritten, Requests int64

	UnderWay []storepath.Path // whose archives are moving, the largest first
}

// progressCounters count what a transfer has done so far.
type progressCounters struct {
	dst   Destination
	began Stats    // of the destination
	total Progress // set before the transfer begins

	paths               atomic.Int64
	narBytes, fileBytes atomic.Int64 // narBytes: of archives that are stored

	mu       sync.Mutex
	underWay map[*node]*atomic.Int64 // bytes read
}

func newProgressCounters(dst Destination, report *CopyReport) *progressCounters {
	c := &progressCounters{dst: dst, underWay: map[*node]*atomic.Int64{}}
	c.total.Present, c.total.Upstream = report.Present, report.Upstream
	c.began = c.stats()
	return c
}

func (c *progressCounters) stats() Stats {
	if m, ok := c.dst.(interface{ Stats() Stats }); ok {
		return m.Stats()
	}
	return Stats{}
}

// moving counts the bytes read of a node's archive until end is called.
func (c *progressCounters) moving(n *node, archive io.Reader) (counted io.Reader, end func()) {
	read := new(atomic.Int64)
	c.mu.Lock()
	c.underWay[n] = read
	c.mu.Unlock()
	return flow.CountReader(flow.CountReader(archive, &c.fileBytes), read), func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.underWay, n)
	}
}

// progress reads the counters.
func (c *progressCounters) progress() Progress {
	now := c.total
	now.Paths = int(c.paths.Load())
	now.NARBytes, now.FileBytes = c.narBytes.Load(), c.fileBytes.Load()
	stats := c.stats()
	now.Requests = stats.Requests()
	now.BytesWritten = stats.BytesWritten - c.began.BytesWritten

	c.mu.Lock()
	nodes := make([]*node, 0, len(c.underWay))
	for n, read := range c.underWay {
		nodes = append(nodes, n)
		part := float64(read.Load()) / float64(max(n.fileSize(), 1))
		now.NARBytes += int64(min(part, 1) * float64(n.info.NarSize))
	}
	c.mu.Unlock()
	now.NARBytes = min(now.NARBytes, max(now.NARBytesTotal, c.narBytes.Load()))
	slices.SortFunc(nodes, func(a, b *node) int {
		return cmp.Or(cmp.Compare(b.info.NarSize, a.info.NarSize), a.info.Path.Compare(b.info.Path))
	})
	for _, n := range nodes {
		now.UnderWay = append(now.UnderWay, n.info.Path)
	}
	return now
}

// watch reports progress until stop is called.
func (c *progressCounters) watch(report func(Progress)) (stop func()) {
	if report == nil {
		return func() {}
	}
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				report(c.progress())
			case <-quit:
				report(c.progress())
				return
			}
		}
	}()
	return func() { close(quit); <-gone }
}
