package lease

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// Keys below layout.ControlPrefix.
const (
	Prefix   = layout.ControlPrefix + "leases/"
	StateKey = layout.ControlPrefix + "collect/state"
)

// Phase is what the holder of the lock does.
type Phase string

// The phases of a collector. Writers wait only for the end of Sweeping.
const (
	Idle      Phase = "idle"
	Marking   Phase = "marking"
	Sweeping  Phase = "sweeping"
	Restoring Phase = "restoring"
)

// LockTTL is how long the collector's lock is valid after each write of the
// state. The holder sends nothing more when LockStop has passed since the last
// write that succeeded was sent.
const (
	LockTTL   = 30 * time.Minute
	LockRenew = 3 * time.Minute
	LockStop  = 10 * time.Minute
)

// State is the content of StateKey. A cache that has it is under collection.
type State struct {
	Phase   Phase     `json:"phase"`
	Run     string    `json:"run,omitempty"`     // of the last holder
	Holder  string    `json:"holder,omitempty"`  // free text
	Process string    `json:"process,omitempty"` // see [Process]
	TTL     int64     `json:"ttl"`               // seconds after the object's ModTime
	Sweeps  int64     `json:"sweeps"`            // sweeps that ever began
	Since   time.Time `json:"since,omitzero"`    // when the cache came under collection, by the server's clock
	Nonce   string    `json:"nonce"`             // differs in every write, so that ETags do
}

// stateLimit bounds the state in bytes.
const stateLimit = 64 << 10

// Locked reports whether the state, written at modTime, keeps others from
// taking the lock at a time of the server's clock.
func (s *State) Locked(modTime, now time.Time) bool {
	return s.Phase != Idle && now.Before(modTime.Add(time.Duration(s.TTL)*time.Second))
}

// ReadState reads the state. The error is blob.ErrNotFound where the cache is
// not under collection.
func ReadState(ctx context.Context, b blob.Bucket) (*State, blob.Attrs, error) {
	data, attrs, err := blob.ReadAll(ctx, b, StateKey, stateLimit)
	if err != nil {
		return nil, attrs, err
	}
	s, err := ParseState(data)
	if err != nil {
		return nil, attrs, fmt.Errorf("%s in %s: %w", StateKey, b, err)
	}
	return s, attrs, nil
}

// ParseState reads the content of the state's object.
func ParseState(data []byte) (*State, error) {
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("state of the collector: %w", err)
	}
	switch s.Phase {
	case Idle, Marking, Sweeping, Restoring:
	default:
		return nil, fmt.Errorf("state of the collector: expected phase idle, marking, sweeping or restoring, got %q", s.Phase)
	}
	if err := checkTTL(s.TTL); err != nil {
		return nil, fmt.Errorf("state of the collector: %w", err)
	}
	return &s, nil
}

// maxTTL bounds the time to live that is believed, so that no object blocks a
// cache for good.
const maxTTL = 7 * 24 * time.Hour

func checkTTL(seconds int64) error {
	if seconds < 0 || seconds > int64(maxTTL/time.Second) {
		return fmt.Errorf("expected a time to live of 0 to %d seconds, got %d", int64(maxTTL/time.Second), seconds)
	}
	return nil
}
