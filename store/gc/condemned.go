package gc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"example.com/nixs3/store/blob"
	"example.com/nixs3/store/layout"
)

// The table of condemned objects says since when runs have seen that nothing
// refers to an object: a gzip file of the digest of its key and of the time,
// for each. Without it all grace periods begin again.
const (
	condemnedKey   = layout.ControlPrefix + "collect/condemned"
	condemnedLimit = 1 << 30
	condemnedEntry = 8 + 4
)

func (c *collector) recallCondemned(ctx context.Context) error {
	data, _, err := blob.ReadAll(ctx, c.b, condemnedKey, condemnedLimit)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	table, err := decodeCondemned(data)
	if err != nil {
		c.opts.Logger.WarnContext(ctx, "the table of condemned objects cannot be used; all grace periods begin again",
			"bucket", c.b.String(), "key", condemnedKey, "error", err)
		return nil
	}
	c.condemned = table
	return nil
}

func decodeCondemned(data []byte) (map[digest]seconds, error) {
	data, err := decompressed(data, condemnedLimit)
	if err != nil {
		return nil, err
	}
	if len(data)%condemnedEntry != 0 {
		return nil, fmt.Errorf("expected a multiple of %d bytes, got %d", condemnedEntry, len(data))
	}
	table := make(map[digest]seconds, len(data)/condemnedEntry)
	for ; len(data) > 0; data = data[condemnedEntry:] {
		table[digest(binary.LittleEndian.Uint64(data))] = seconds(binary.LittleEndian.Uint32(data[8:]))
	}
	return table, nil
}

// rememberCondemned stores the orphans as the table of the next run.
func (c *collector) rememberCondemned(ctx context.Context) error {
	if len(c.orphans) == 0 && len(c.condemned) == 0 {
		return nil
	}
	data := make([]byte, 0, len(c.orphans)*condemnedEntry)
	for _, o := range c.orphans {
		data = binary.LittleEndian.AppendUint64(data, uint64(digestOf(o.key)))
		data = binary.LittleEndian.AppendUint32(data, uint32(o.since))
	}
	data, err := compressed(data)
	if err == nil {
		err = c.stillLocked()
	}
	if err == nil {
		_, err = c.b.Put(ctx, condemnedKey, bytes.NewReader(data), binaryType)
	}
	if err != nil {
		return errors.Join(errors.New("storing since when objects are condemned"), err)
	}
	return nil
}
