package serve_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"example.com/nixs3/store/serve"
)

// TestCacheInfoMerged says what the cache says, else what suits the upstreams
// that answer.
func TestCacheInfoMerged(t *testing.T) {
	for _, tt := range []struct{ own, upstream, mass, priority string }{
		{"", "priority=10&want-mass-query=false", "WantMassQuery: 0\n", "Priority: 10\n"},
		{"", "priority=40&want-mass-query=true", "WantMassQuery: 1\n", "Priority: 30\n"},
		{"?priority=50&want-mass-query=true", "priority=10&want-mass-query=false", "WantMassQuery: 1\n", "Priority: 50\n"},
	} {
		down := newPeer(t, "none")
		answers := down.upstream(t)
		answers.Cache = openCache(t, "mem://?"+tt.upstream)
		lost := down.upstream(t)
		down.hook = func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(500)
			return true
		}
		g := newGateway(t, openCache(t, "mem://"+tt.own), serve.Options{Upstreams: []serve.Upstream{lost, answers}})
		got := g.get(t, "/nix-cache-info")
		assert.Equal(t, 200, got.status)
		assert.Contains(t, got.body, tt.mass)
		assert.Contains(t, got.body, tt.priority)
	}
}
