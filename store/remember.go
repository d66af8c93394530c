package store

import (
	"container/list"
	"sync"
	"time"

	"example.com/nixs3/narinfo"
)

// pathInfoCacheTTL is the time for which a narinfo is remembered if
// Settings.PathInfoCacheSize is set.
const pathInfoCacheTTL = time.Hour

// infoCache remembers the narinfos that were read last, but not the absence of a
// path. A nil infoCache remembers nothing.
type infoCache struct {
	mu     sync.Mutex
	size   int
	byHash map[string]*list.Element
	recent list.List // of *rememberedInfo, the latest first
}

type rememberedInfo struct {
	hashPart string
	info     *narinfo.NarInfo
	until    time.Time
}

func newInfoCache(size int) *infoCache {
	if size <= 0 {
		return nil
	}
	return &infoCache{size: size, byHash: map[string]*list.Element{}}
}

func (c *infoCache) get(hashPart string) *narinfo.NarInfo {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byHash[hashPart]
	if e == nil {
		return nil
	}
	r := e.Value.(*rememberedInfo)
	if time.Now().After(r.until) {
		c.remove(e)
		return nil
	}
	c.recent.MoveToFront(e)
	return r.info.Clone()
}

func (c *infoCache) put(hashPart string, info *narinfo.NarInfo) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byHash[hashPart]; e != nil {
		c.remove(e)
	}
	c.byHash[hashPart] = c.recent.PushFront(&rememberedInfo{hashPart, info.Clone(), time.Now().Add(pathInfoCacheTTL)})
	if c.recent.Len() > c.size {
		c.remove(c.recent.Back())
	}
}

func (c *infoCache) forget(hashPart string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byHash[hashPart]; e != nil {
		c.remove(e)
	}
}

func (c *infoCache) remove(e *list.Element) {
	delete(c.byHash, e.Value.(*rememberedInfo).hashPart)
	c.recent.Remove(e)
}

// maxStoredKeys bounds the keys that a cache remembers, about 100 bytes each.
const maxStoredKeys = 1 << 16

// storedKeys remembers the archives whose bytes this process has stored. Users
// check each time that the archives still exist.
type storedKeys struct {
	mu   sync.Mutex
	keys map[string]struct{}
}

func (s *storedKeys) add(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil || len(s.keys) >= maxStoredKeys {
		s.keys = map[string]struct{}{}
	}
	s.keys[key] = struct{}{}
}

func (s *storedKeys) has(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.keys[key]
	return ok
}
