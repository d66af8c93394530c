package lease

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// TTL is how long a lease is valid after each renewal. Its holder publishes
// nothing more when Stop has passed since the last renewal that succeeded was
// sent.
const (
	TTL   = time.Hour
	Renew = 10 * time.Minute
	Stop  = 40 * time.Minute
)

// traceTTL is how long the trace of a writer that has ended is valid at most.
// Collectors take it for an upload, and most keep those for a day.
const traceTTL = 7 * 24 * time.Hour

// limit bounds a lease in bytes, maxNames the paths and archives that one
// names. A writer of more leases everything.
const (
	limit    = 64 << 20
	maxNames = 200_000
)

// Lease is the content of a lease's object.
type Lease struct {
	Paths    []string  `json:"paths,omitempty"`    // hash parts that will be published or relied on
	Archives []string  `json:"archives,omitempty"` // keys that are relied on
	All      bool      `json:"all,omitempty"`      // everything: nothing may be swept
	Done     bool      `json:"done,omitempty"`     // the writer has ended; the paths count as uploaded at the object's ModTime
	TTL      int64     `json:"ttl"`                // seconds after the object's ModTime
	Holder   string    `json:"holder,omitempty"`   // free text
	Begun    time.Time `json:"begun,omitzero"`     // of the session, by the server's clock; zero in the first write
	Nonce    string    `json:"nonce"`              // differs in every write
}

// Parse reads the content of a lease's object.
func Parse(data []byte) (*Lease, error) {
	var l Lease
	if err := json.Unmarshal(data, &l); err != nil {
		return nil, fmt.Errorf("lease: %w", err)
	}
	if err := checkTTL(l.TTL); err != nil {
		return nil, fmt.Errorf("lease: %w", err)
	}
	for _, hashPart := range l.Paths {
		if err := storepath.ValidateHashPart(hashPart); err != nil {
			return nil, fmt.Errorf("lease: %w", err)
		}
	}
	return &l, nil
}

// Expired reports whether a lease, written at modTime, is void at a time of the
// server's clock.
func (l *Lease) Expired(modTime, now time.Time) bool {
	return now.After(modTime.Add(time.Duration(l.TTL) * time.Second))
}

// Held is a lease in a bucket.
type Held struct {
	Lease
	Key     string
	ModTime time.Time
	Start   time.Time // of the session, by the server's clock
}

// List reads all leases, expired ones too. It leaves out a lease that is
// deleted meanwhile, and fails for a lease that cannot be parsed, because the
// paths that it protects are not known.
func List(ctx context.Context, b blob.Bucket) ([]Held, error) {
	var found []blob.Attrs
	for attrs, err := range b.List(ctx, blob.ListOptions{Prefix: Prefix}) {
		if err != nil {
			return nil, err
		}
		found = append(found, attrs)
	}
	var leases []Held
	for _, listed := range found {
		data, attrs, err := blob.ReadAll(ctx, b, listed.Key, limit)
		if isMissing(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		l, err := Parse(data)
		if err != nil {
			return nil, fmt.Errorf("%s in %s: %w", listed.Key, b, err)
		}
		h := Held{Lease: *l, Key: listed.Key, ModTime: attrs.ModTime, Start: attrs.ModTime}
		if h.ModTime.IsZero() {
			h.ModTime, h.Start = listed.ModTime, listed.ModTime
		}
		if !l.Begun.IsZero() && l.Begun.Before(h.Start) {
			h.Start = l.Begun
		}
		leases = append(leases, h)
	}
	return leases, nil
}

// names is what a lease is about, each with its place in the order in which they
// were added.
type names struct {
	paths, archives map[string]int
}

// lease returns a lease on all names.
func (n *names) lease() Lease {
	l := Lease{TTL: int64(TTL / time.Second), Holder: Holder(), Nonce: rand.Text()}
	if n.len() > maxNames {
		l.All = true
	} else {
		l.Paths, l.Archives = slices.Sorted(maps.Keys(n.paths)), slices.Sorted(maps.Keys(n.archives))
	}
	return l
}

func (n *names) len() int { return len(n.paths) + len(n.archives) }

func (n *names) add(paths, archives []string) {
	if n.paths == nil {
		n.paths, n.archives = map[string]int{}, map[string]int{}
	}
	for _, p := range paths {
		if _, ok := n.paths[p]; !ok {
			n.paths[p] = n.len()
		}
	}
	for _, a := range archives {
		if _, ok := n.archives[a]; !ok {
			n.archives[a] = n.len()
		}
	}
}

// put stores a lease.
func put(ctx context.Context, b blob.Bucket, key string, l Lease) (blob.Attrs, error) {
	data, err := json.Marshal(l)
	if err != nil {
		return blob.Attrs{}, err
	}
	return b.Put(ctx, key, bytes.NewReader(data), blob.PutOptions{ContentType: layout.Control.ContentType()})
}
