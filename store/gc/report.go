package gc

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"example.com/nixs3/narinfo/storepath"
)

// Amount is a number of paths, the size of their archives uncompressed, and as
// stored. An archive that several paths share counts for each.
type Amount struct {
	Paths     int   `json:"paths"`
	NarBytes  int64 `json:"narBytes"`
	FileBytes int64 `json:"fileBytes"`
}

func (a *Amount) add(narBytes, fileBytes int64) {
	a.Paths++
	a.NarBytes += narBytes
	a.FileBytes += fileBytes
}

// Objects is a number of objects and their size as stored.
type Objects struct {
	Objects int   `json:"objects"`
	Bytes   int64 `json:"bytes"`
}

func (o *Objects) add(bytes int64) {
	o.Objects++
	o.Bytes += bytes
}

// Share is what one root keeps that no root before it keeps.
type Share struct {
	Root string `json:"root"` // in parentheses where it is not a stored one
	Amount
}

// AgeShare is what was uploaded within a time and not within that of the one
// before it.
type AgeShare struct {
	Within time.Duration `json:"within"` // zero means longer ago than all others
	Kept   Amount        `json:"kept"`
	Gone   Amount        `json:"gone"`
}

// PathSize is a path and the sizes of its archive.
type PathSize struct {
	Path      string    `json:"path"` // the base name; the hash part where the rest is not known
	NarBytes  int64     `json:"narBytes"`
	FileBytes int64     `json:"fileBytes"`
	Added     time.Time `json:"added"`
}

// MissingRoot is a path that a root names and the cache does not have.
type MissingRoot struct {
	Root string         `json:"root"` // "" where it was given
	Path storepath.Path `json:"path"`
}

// Lost is a path that could not be brought back, and why.
type Lost struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// Report is what a run did, or would do.
type Report struct {
	Run    string    `json:"run,omitempty"` // names the run to Undo; "" where nothing was swept
	DryRun bool      `json:"dryRun"`
	Begun  time.Time `json:"begun"` // by the server's clock

	Kept Amount `json:"kept"`
	Gone Amount `json:"gone"` // paths that are not visible any more

	ByRoot []Share    `json:"byRoot"`
	ByAge  []AgeShare `json:"byAge"`
	Paths  []PathSize `json:"paths"` // that went, the biggest first, up to Options.Paths

	Destroyed Objects `json:"destroyed"` // archives, listings, logs, links and uploads
	Condemned Objects `json:"condemned"` // the same, that wait for the end of the grace period

	Realisations int              `json:"realisations"` // that led to paths that are gone
	Restored     []storepath.Path `json:"restored"`     // that something visible refers to, brought back
	Lost         []Lost           `json:"lost"`         // paths that could not be brought back
	RootsRemoved []string         `json:"rootsRemoved"` // expired, or too many of their group
	MissingRoots []MissingRoot    `json:"missingRoots"`
	Dangling     []string         `json:"dangling"` // paths that stay and lack a reference
	Broken       []string         `json:"broken"`   // keys of narinfos that cannot be read
	Busy         bool             `json:"busy"`     // a writer has leased everything: nothing was swept
}

// ages are the limits of AgeShares.
var ages = []time.Duration{24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour, 90 * 24 * time.Hour, 365 * 24 * time.Hour, 0}

// fill counts what stays and what goes.
func (c *collector) fill() {
	r, g, now := &c.report, &c.g, c.clock.now()
	r.Kept, r.Gone, r.Paths = Amount{}, Amount{}, nil
	r.ByAge = make([]AgeShare, len(ages))
	for i, within := range ages {
		r.ByAge[i].Within = within
	}
	for k := range c.keepers {
		c.keepers[k].share = Amount{}
	}
	r.Dangling = nil
	var gone []id
	for i := range g.visible {
		age := now.Sub(g.added[i].time())
		n := slices.IndexFunc(ages, func(within time.Duration) bool { return within == 0 || age < within })
		file := g.fileSize(i)
		if g.marks[i]&kept == 0 {
			r.Gone.add(g.size[i], file)
			r.ByAge[n].Gone.add(g.size[i], file)
			gone = append(gone, i)
			continue
		}
		r.Kept.add(g.size[i], file)
		r.ByAge[n].Kept.add(g.size[i], file)
		if int(i) < len(c.keptBy) && int(c.keptBy[i]) < len(c.keepers) {
			c.keepers[c.keptBy[i]].share.add(g.size[i], file)
		}
		if slices.ContainsFunc(g.references(i), func(ref id) bool { return g.marks[ref]&listed == 0 }) && g.marks[i]&broken == 0 {
			r.Dangling = append(r.Dangling, g.base(i))
		}
	}
	slices.SortFunc(gone, func(x, y id) int {
		return cmp.Or(cmp.Compare(g.fileSize(y), g.fileSize(x)), cmp.Compare(g.size[y], g.size[x]), bytes.Compare(g.hash[x][:], g.hash[y][:]))
	})
	if c.opts.Paths >= 0 {
		gone = gone[:min(len(gone), c.opts.Paths)]
	}
	for _, i := range gone {
		r.Paths = append(r.Paths, PathSize{g.base(i), g.size[i], g.fileSize(i), g.added[i].time()})
	}
	r.ByRoot = nil
	for _, k := range c.keepers {
		r.ByRoot = append(r.ByRoot, Share{k.name, k.share})
	}
	slices.SortStableFunc(r.ByRoot, func(x, y Share) int { return cmp.Compare(y.FileBytes, x.FileBytes) })
	r.MissingRoots = c.missing
	r.Broken = nil
	for _, b := range c.broken {
		r.Broken = append(r.Broken, b.Key)
	}
	slices.Sort(r.Broken)
	r.Condemned, r.Destroyed = Objects{}, Objects{}
	for _, o := range c.orphans {
		if c.ripe(o) {
			r.Destroyed.add(o.size)
		} else {
			r.Condemned.add(o.size)
		}
	}
	for range c.uploads {
		r.Destroyed.add(0)
	}
}
