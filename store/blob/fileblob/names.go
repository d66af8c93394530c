package fileblob

import (
	"context"
	"errors"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
	"sync"
)

// names changes the names of objects, one change after the other, so that a
// condition on an object still holds when the change is made.
//
// With sync, changes are made in rounds. A round makes all changes that wait,
// then syncs the folders that they were made in, each once. The next round
// begins after that. So if the result of a change is visible to a writer, a
// later change of that writer does not reach the disk before it.
type names struct {
	sync bool

	mu      sync.Mutex
	busy    bool // a round is under way, or its successor was told to lead
	waiting []*change
}

// change is one change of names.
type change struct {
	folders []string
	do      func() error
	err     error
	leads   bool          // the next round
	turn    chan struct{} // closed when it leads or is done
}

// change makes a change of names in folders and returns when it is on disk, if
// sync says so. The context ends the wait for a round, not the round.
func (n *names) change(ctx context.Context, b *Bucket, folders []string, do func() error) error {
	c := &change{folders: folders, do: do, turn: make(chan struct{})}
	n.mu.Lock()
	if !n.sync {
		defer n.mu.Unlock()
		return do()
	}
	n.waiting = append(n.waiting, c)
	if n.busy {
		n.mu.Unlock()
		if n.wait(ctx, c) != nil {
			return context.Cause(ctx)
		}
		if !c.leads {
			return c.err
		}
		n.mu.Lock()
	}
	n.busy = true
	round := n.waiting
	n.waiting = nil
	n.mu.Unlock()

	b.round(round)

	n.mu.Lock()
	n.busy = len(n.waiting) > 0
	if n.busy {
		n.waiting[0].leads = true
		close(n.waiting[0].turn)
	}
	n.mu.Unlock()
	for _, other := range round {
		if other != c {
			close(other.turn)
		}
	}
	return c.err
}

// wait waits for the turn of a change. It withdraws the change and fails if the
// context ends before its round begins.
func (n *names) wait(ctx context.Context, c *change) error {
	select {
	case <-c.turn:
		return nil
	case <-ctx.Done():
	}
	n.mu.Lock()
	i := slices.Index(n.waiting, c)
	if withdrawn := i >= 0 && !c.leads; withdrawn {
		n.waiting = slices.Delete(n.waiting, i, i+1)
		n.mu.Unlock()
		return ctx.Err()
	}
	n.mu.Unlock()
	<-c.turn
	return nil
}

// round makes the changes of a round and syncs their folders and those above,
// which may be new.
func (b *Bucket) round(changes []*change) {
	folders := map[string][]*change{}
	for _, c := range changes {
		if c.err = c.do(); c.err != nil {
			continue
		}
		for _, dir := range c.folders {
			for folders[dir] = append(folders[dir], c); dir != "."; folders[dir] = append(folders[dir], c) {
				dir = path.Dir(dir)
			}
		}
	}
	// A folder comes after those in it.
	for _, dir := range slices.Backward(slices.Sorted(maps.Keys(folders))) {
		if err := b.syncFolder(dir); err != nil {
			for _, c := range folders[dir] {
				c.err = errors.Join(c.err, err)
			}
		}
	}
}

// syncFolder makes the names in a folder last, if the system can. A folder that
// was removed needs nothing: the one above it is synced.
func (b *Bucket) syncFolder(dir string) error {
	err := syncFile(func() (*os.File, error) { return b.openFile(dir) })
	if isMissing(err) {
		return nil
	}
	if err == nil {
		b.did("syncfolder", dir)
	}
	return err
}

func syncFile(open func() (*os.File, error)) error {
	f, err := open()
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && runtime.GOOS != "windows" { // cannot sync folders
		return err
	}
	return nil
}

// did tells a test of a step that was done.
func (b *Bucket) did(step string, names ...string) {
	if b.observe != nil {
		b.observe(step, names...)
	}
}
