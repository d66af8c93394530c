package verify

import (
	"fmt"
	"time"

	"example.com/nixs3/narinfo/storepath"
)

// Report is what Repair, Sign or Mirror has done. It is valid also where they
// fail.
type Report struct {
	Paths     int // that were looked at
	Changed   int // of those, paths that were signed, mended or copied
	Unchanged int // of those, paths that needed nothing

	Skipped []Problem // what was left as it was, and why
	Failed  []Problem // what could not be done

	// Hidden are the paths that were made invisible. HiddenBy is the run of
	// package gc that brings them back.
	Hidden   []storepath.Path
	HiddenBy string

	// Removed are the paths that a mirror has and its source has no more.
	Removed []storepath.Path

	// Keys are the objects that were written or removed, which a CDN in front
	// of the cache may still have as they were.
	Keys []string

	Bytes   int64 // of archives that were fetched
	Elapsed time.Duration
}

// Problem is a path or an object with which something is wrong.
type Problem struct {
	Path storepath.Path // zero where it is not known
	Key  string         // of the object
	Err  error
}

// Error returns the problem in one line.
func (p Problem) Error() string {
	subject := p.Path.String()
	if subject == "" {
		subject = p.Key
	}
	return fmt.Sprintf("%s: %v", subject, p.Err)
}

// Unwrap returns the reason.
func (p Problem) Unwrap() error { return p.Err }

// failure is the error of a report with failures.
func (r *Report) failure(what string) error {
	if len(r.Failed) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d paths could not be %s, the first: %w", len(r.Failed), r.Paths, what, r.Failed[0])
}
