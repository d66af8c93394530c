package verify

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"example.com/nixs3/narinfo/storepath"
)

// A journal is JSON lines, one for each object that was checked. Later lines
// about an object replace earlier ones. A line that cannot be read, as a killed
// process leaves one, is left out of account: its object is checked again.

// record is a line of a journal: what was found out about an object.
type record struct {
	Key      string    `json:"key"`               // of the narinfo, or of another object
	State    string    `json:"state"`             // of the objects that were read, in hexadecimal
	Depth    Depth     `json:"depth"`             // at which they were
	Findings []Finding `json:"findings,omitzero"` // none means sound

	// Of a narinfo that can be read. Whether the references are in the cache is
	// looked at anew in every run.
	Path       storepath.Path   `json:"path,omitzero"`
	URL        string           `json:"url,omitzero"`
	FileSize   int64            `json:"fileSize,omitzero"`
	References []storepath.Path `json:"references,omitzero"`

	// Index is the key of the archive's index, if it has one.
	Index string `json:"index,omitzero"`

	// Unlistable says that no listing can have the names in the archive.
	Unlistable bool `json:"unlistable,omitzero"`

	// DebugInfo are the debug files of the path: build ID to member.
	DebugInfo map[string]string `json:"debugInfo,omitzero"`
}

// maxRecord bounds a line of a journal in bytes.
const maxRecord = 16 << 20

// readJournal returns the last record of each key. nil is an empty journal.
func readJournal(ctx context.Context, r io.Reader) (map[string]record, error) {
	known := map[string]record{}
	if r == nil {
		return known, nil
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxRecord)
	for lines.Scan() {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var rec record
		if json.Unmarshal(lines.Bytes(), &rec) != nil || rec.Key == "" {
			continue
		}
		known[rec.Key] = rec
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the journal: %w", err)
	}
	return known, nil
}

// writeRecord appends a record to a journal in one Write.
func writeRecord(w io.Writer, rec record) error {
	if w == nil {
		return nil
	}
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(rec); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	if _, err := w.Write(line.Bytes()); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	return nil
}
