package gc

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"time"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/internal/lease"
)

// enrol puts the cache under collection: from now on writers take leases.
func enrol(ctx context.Context, b blob.Bucket) error {
	_, err := b.Head(ctx, lease.StateKey)
	if err == nil || !isMissing(err) {
		return err
	}
	data, err := marshalState(&lease.State{Phase: lease.Idle})
	if err != nil {
		return err
	}
	opts := controlType
	opts.IfNoneMatch = true
	_, err = b.Put(ctx, lease.StateKey, bytes.NewReader(data), opts)
	if errors.Is(err, blob.ErrPrecondition) {
		return nil // somebody else was first
	}
	return err
}

// marshalState gives the state its time to live and a new nonce.
func marshalState(s *lease.State) ([]byte, error) {
	s.TTL = int64(lease.LockTTL / time.Second)
	s.Nonce = rand.Text()
	return json.Marshal(s)
}
