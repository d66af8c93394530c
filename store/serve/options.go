package serve

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/nixs3/narinfo"
)

// Options say what a Server does. The zero value reads one cache for everybody.
type Options struct {
	// Push says how paths are taken in, by those whom Auth lets. nil refuses
	// every PUT.
	Push *Push

	// Auth says who may read and push. nil lets everybody read, and nobody
	// push.
	Auth *Auth

	// Redirect sends clients to presigned URLs of the bucket for archives. nil
	// never does.
	Redirect *Redirect

	// Upstreams are asked for what the cache lacks.
	Upstreams []Upstream

	// Signers sign every narinfo on the way out.
	Signers []narinfo.Signer

	Limits Limits

	// Restore is asked on a miss whether a collector has hidden the path with
	// the hash part. It makes the path visible again and returns true, or
	// returns false. nil means that there is no collector.
	Restore func(ctx context.Context, hashPart string) (bool, error)

	// Page is what the page for people says. nil means that there is none.
	Page *Page

	// Logger gets a line for each request at level Info, and failures. nil is
	// silent.
	Logger *slog.Logger

	// Registerer gets the metrics. nil means that there are none.
	Registerer prometheus.Registerer
}

// Limits bound what a Server holds and waits for. A zero field means its
// default.
type Limits struct {
	CacheBytes  int64         // of narinfos and other small objects in memory; 32 MiB
	HitTTL      time.Duration // how long a small object is remembered; 10 s
	Misses      int64         // keys that are remembered as absent; 100,000
	MissTTL     time.Duration // how long they are; 3 s
	Request     time.Duration // how long a small object or a decision may take; 30 s
	Stall       time.Duration // how long a client may take or send nothing; 60 s
	Decoded     int64         // bytes of an encoded listing or log after decoding; 1 GiB
	ArchiveSize int64         // of a pushed or encoded archive as stored; 64 GiB
	NarSize     int64         // of a pushed archive after decompression; 256 GiB
	LogSize     int64         // of a pushed log; 1 GiB
	Pushes      int           // archives that are received at a time; 16
}

func (l *Limits) setDefaults() {
	orInt := func(v *int64, def int64) {
		if *v == 0 {
			*v = def
		}
	}
	orTime := func(v *time.Duration, def time.Duration) {
		if *v == 0 {
			*v = def
		}
	}
	orInt(&l.CacheBytes, 32<<20)
	orInt(&l.Misses, 100_000)
	orInt(&l.Decoded, 1<<30)
	orInt(&l.ArchiveSize, 64<<30)
	orInt(&l.NarSize, 256<<30)
	orInt(&l.LogSize, 1<<30)
	orTime(&l.HitTTL, 10*time.Second)
	orTime(&l.MissTTL, 3*time.Second)
	orTime(&l.Request, 30*time.Second)
	orTime(&l.Stall, time.Minute)
	if l.Pushes == 0 {
		l.Pushes = 16
	}
}
