package serve

import (
	"container/list"
	"sync"
	"time"
)

// lru remembers values by key until they expire, the most recently used ones
// first where the total weight exceeds the limit. It is safe for concurrent
// use.
type lru[V any] struct {
	mu     sync.Mutex
	limit  int64
	weight int64
	byKey  map[string]*list.Element
	recent list.List // of *remembered[V]
	epoch  uint64    // counts the calls of forget
}

type remembered[V any] struct {
	key    string
	value  V
	weight int64
	until  time.Time
}

func newLRU[V any](limit int64) *lru[V] {
	return &lru[V]{limit: limit, byKey: map[string]*list.Element{}}
}

func (l *lru[V]) get(key string) (value V, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.byKey[key]
	if e == nil {
		return value, false
	}
	r := e.Value.(*remembered[V])
	if time.Now().After(r.until) {
		l.remove(e)
		return value, false
	}
	l.recent.MoveToFront(e)
	return r.value, true
}

// now returns the epoch, which a later put compares.
func (l *lru[V]) now() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch
}

// put remembers a value that was read in an epoch. It does nothing when any key
// was forgotten since, because the value may be older than that.
func (l *lru[V]) put(epoch uint64, key string, value V, weight int64, ttl time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch != l.epoch || ttl <= 0 || weight > l.limit {
		return
	}
	if e := l.byKey[key]; e != nil {
		l.remove(e)
	}
	l.byKey[key] = l.recent.PushFront(&remembered[V]{key, value, weight, time.Now().Add(ttl)})
	l.weight += weight
	for l.weight > l.limit {
		l.remove(l.recent.Back())
	}
}

func (l *lru[V]) forget(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch++
	if e := l.byKey[key]; e != nil {
		l.remove(e)
	}
}

func (l *lru[V]) remove(e *list.Element) {
	r := e.Value.(*remembered[V])
	l.weight -= r.weight
	delete(l.byKey, r.key)
	l.recent.Remove(e)
}

// drop forgets a key that may have changed elsewhere. Values that are being
// read are not affected.
func (l *lru[V]) drop(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.byKey[key]; e != nil {
		l.remove(e)
	}
}
