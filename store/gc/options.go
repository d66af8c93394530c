package gc

import (
	"log/slog"
	"time"

	"example.com/nixs3/narinfo/storepath"
)

// Defaults of Options.
const (
	DefaultRecent = 24 * time.Hour
	DefaultGrace  = 30 * 24 * time.Hour
)

// Options say what Collect keeps. The zero value keeps the stored roots and what
// was uploaded within a day, and destroys nothing within 30 days.
type Options struct {
	// Recent keeps what was uploaded within this time, which protects writers
	// that know nothing of collectors. 0 means DefaultRecent; negative means
	// that there are no such writers.
	Recent time.Duration

	// Grace is how long an archive stays after its last narinfo went, and the
	// journal that can bring the narinfo back. 0 means DefaultGrace; negative
	// means that nothing can be brought back. Nix clients remember for 30 days
	// that a cache had a path.
	Grace time.Duration

	// KeepSince keeps what was uploaded within this time, beside Recent.
	KeepSince time.Duration

	// Keep removes the oldest roots of a group, and of its subgroups, above a
	// number.
	Keep map[string]int

	// Roots are kept beside the stored ones, for this run. Those that the cache
	// does not have are ignored; if it has none of them, the run
	// fails with ErrNoRoot.
	Roots []storepath.Path

	// DryRun deletes nothing, takes no lock, and reports what would go.
	DryRun bool

	// KeepBroken goes on past narinfos that cannot be read. They stay, and all
	// paths that their text mentions. Without it the run fails with ErrBroken.
	KeepBroken bool

	// Alone promises that no other collector runs, where the server ignores the
	// conditions of writes. Elsewhere it has no effect.
	Alone bool

	// Paths is how many of the paths that go the report names, the biggest
	// first. 0 means 1,000; negative means all.
	Paths int

	// Manifest, if set, is called with the key of each archive and other object
	// that would be destroyed, in place of its deletion. Narinfos are deleted all
	// the same. An error ends the run. Until the objects are gone, each run names
	// them again, and a writer of the same contents relies on them. So destroy
	// them soon after the run.
	Manifest func(key string) error

	// Inventory, if set, replaces the listing of archives. Each archive that
	// would be destroyed costs a request more.
	Inventory *Inventory

	Logger   *slog.Logger   // nil is silent
	Progress func(Progress) // called from one goroutine at a time; may be nil
}

// Step is what a collector is at.
type Step string

// The steps of a run, in their order.
const (
	Listing    Step = "listing"
	Reading    Step = "reading"
	Restoring  Step = "restoring"
	Journaling Step = "journaling"
	Sweeping   Step = "sweeping"
)

// Progress is how far a step has come.
type Progress struct {
	Step        Step
	Done, Total int // paths or objects; Total is 0 where it is not known
}

func (o *Options) setDefaults() {
	o.Recent = orDefault(o.Recent, DefaultRecent)
	o.Grace = orDefault(o.Grace, DefaultGrace)
	if o.Paths == 0 {
		o.Paths = 1000
	}
	if o.Logger == nil {
		o.Logger = silent
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
}

// orDefault gives zero its meaning, and makes what is negative zero.
func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return max(d, 0)
}
