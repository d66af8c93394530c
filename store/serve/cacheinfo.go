package serve

import (
	"context"
	"slices"
	"sync"
	"time"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/store/layout"
)

// defaultPriority is that of caches that name none, ahead of Nix's default of
// 50 and of cache.nixos.org, which has 40.
const defaultPriority = 30

// fetchCacheInfo merges what the cache says of itself with what its upstreams
// say. What the cache says takes precedence. Where it says nothing, clients may
// ask for many paths unless an upstream objects, and its priority is the best
// of the default and the upstreams'. An upstream that does not answer has no
// say.
func (s *Server) fetchCacheInfo(ctx context.Context) (*small, error) {
	info, err := s.cache.CacheInfo(ctx)
	if err != nil {
		return nil, err
	}
	merged := *info
	merged.Extra = slices.Clone(info.Extra)
	if merged.WantMassQuery == nil || merged.Priority == nil {
		wantMassQuery, priority := true, defaultPriority
		for _, other := range s.upstreamCacheInfos(ctx) {
			if other.WantMassQuery != nil {
				wantMassQuery = wantMassQuery && *other.WantMassQuery
			}
			if other.Priority != nil {
				priority = min(priority, *other.Priority)
			}
		}
		if merged.WantMassQuery == nil {
			merged.WantMassQuery = &wantMassQuery
		}
		if merged.Priority == nil {
			merged.Priority = &priority
		}
	}
	text, err := merged.MarshalText()
	if err != nil {
		return nil, err
	}
	return newSmall(layout.CacheInfo, text, time.Time{}), nil
}

// upstreamCacheInfos returns what the upstreams that answer say of themselves.
func (s *Server) upstreamCacheInfos(ctx context.Context) []*narinfo.CacheInfo {
	var mu sync.Mutex
	var all []*narinfo.CacheInfo
	var asked sync.WaitGroup
	for _, u := range s.upstreams {
		asked.Go(func() {
			err := u.ask(ctx, func(ctx context.Context) error {
				info, err := u.Cache.CacheInfo(ctx)
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					all = append(all, info)
				}
				return err
			})
			if err != nil && !isAbsent(err) {
				s.log.WarnContext(ctx, "description of an upstream", "error", err)
			}
		})
	}
	asked.Wait()
	return all
}
