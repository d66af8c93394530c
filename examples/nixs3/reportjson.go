package main

import (
	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/verify"
)

// jsonFlag makes a command print its result for programs.
type jsonFlag struct {
	JSON bool `name:"json" xor:"output" help:"Print the result as JSON."`
}

// reportResult is the JSON of a report of signing, repairing or mirroring.
type reportResult struct {
	Paths     int             `json:"paths"`
	Changed   int             `json:"changed"`
	Signed    int             `json:"signed,omitempty"`
	Unchanged int             `json:"unchanged"`
	Skipped   []problemResult `json:"skipped,omitempty"`
	Failed    []problemResult `json:"failed,omitempty"`
	Hidden    []string        `json:"hidden,omitempty"`
	HiddenBy  string          `json:"hiddenBy,omitempty"`
	Removed   []string        `json:"removed,omitempty"`
	Keys      []string        `json:"keys,omitempty"`
	Bytes     int64           `json:"bytes"`
	Seconds   float64         `json:"seconds"`
}

type problemResult struct {
	Path  string `json:"path,omitempty"`
	Key   string `json:"key,omitempty"`
	Error string `json:"error"`
}

func newReportResult(dir storepath.Dir, r *verify.Report) reportResult {
	return reportResult{
		Paths: r.Paths, Changed: r.Changed, Signed: r.Signed, Unchanged: r.Unchanged,
		Skipped: problemResults(dir, r.Skipped), Failed: problemResults(dir, r.Failed),
		Hidden: joined(dir, r.Hidden), HiddenBy: r.HiddenBy, Removed: joined(dir, r.Removed), Keys: r.Keys,
		Bytes: r.Bytes, Seconds: r.Elapsed.Seconds(),
	}
}

func problemResults(dir storepath.Dir, problems []verify.Problem) (out []problemResult) {
	for _, p := range problems {
		result := problemResult{Key: p.Key, Error: p.Err.Error()}
		if !p.Path.IsZero() {
			result.Path = dir.Join(p.Path)
		}
		out = append(out, result)
	}
	return out
}

func joined(dir storepath.Dir, paths []storepath.Path) (out []string) {
	for _, p := range paths {
		out = append(out, dir.Join(p))
	}
	return out
}
