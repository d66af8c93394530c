package narinfo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
)

// Record is an entry in the output of "nix path-info --json": a store object,
// and further fields of some stores. URL and Compression are empty if the store
// is not a binary cache. A zero NarHash means that the store does not have the
// object; then only the path is set.
type Record struct {
	NarInfo             NarInfo
	RegistrationTime    int64 // seconds since 1970, 0 if unknown
	Ultimate            bool  // built in this store, not copied into it
	ClosureSize         int64 // sum of NarSize over the closure, 0 if absent
	ClosureDownloadSize int64 // sum of FileSize over the closure, 0 if absent
}

// ParseRecords reads the output of "nix path-info --json" in any version: the
// array of Nix up to 2.18 and of Lix, and the objects of the JSON formats 1, 2
// and 3. The records are in the order of the array, or sorted by path.
// ParseRecords does not bound the size of data, and may take several times as
// much memory.
func ParseRecords(data []byte) ([]*Record, error) {
	records, err := parseRecords(data)
	if err != nil {
		return nil, fmt.Errorf("path-info JSON: %w", err)
	}
	return records, nil
}

func parseRecords(data []byte) ([]*Record, error) {
	if bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("[")) {
		records := []*Record{}
		err := decodeArray(data, func(entry recordJSON) error {
			record, err := entry.record(entry.Path, "")
			records = append(records, record)
			return err
		})
		if err != nil {
			return nil, err
		}
		return records, nil
	}

	var top map[string]json.RawMessage
	if err := json.Unmarshal(data, &top); err != nil {
		return nil, err
	}
	if top == nil {
		return nil, errors.New("null is neither an array nor an object")
	}
	var dir storepath.Dir
	if info, ok := top["info"]; ok {
		var err error
		if dir, err = parseWrapper(data); err != nil {
			return nil, err
		}
		top = nil
		if err := json.Unmarshal(info, &top); err != nil {
			return nil, fmt.Errorf("info: %w", err)
		}
	}
	records := make([]*Record, 0, len(top))
	for _, path := range slices.Sorted(maps.Keys(top)) {
		var entry *recordJSON // null if the store does not have it
		if err := json.Unmarshal(top[path], &entry); err != nil {
			return nil, fmt.Errorf("%q: %w", clip(path), err)
		}
		if entry == nil {
			entry = &recordJSON{Valid: new(false)}
		}
		record, err := entry.record(path, dir)
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	return records, nil
}

// maxJSONFormat is the newest format that is read.
const maxJSONFormat = 3

// parseWrapper reads what surrounds the entries in formats 2 and 3.
func parseWrapper(data []byte) (storepath.Dir, error) {
	var wrapper struct {
		StoreDir storepath.Dir `json:"storeDir"`
		Version  int           `json:"version"`
	}
	if err := json.Unmarshal(data, &wrapper); err != nil {
		return "", err
	}
	if wrapper.Version < 2 || wrapper.Version > maxJSONFormat {
		return "", fmt.Errorf("version is %d, expected 2 or %d", wrapper.Version, maxJSONFormat)
	}
	return wrapper.StoreDir, wrapper.StoreDir.Validate()
}

// recordJSON is an entry in any version.
type recordJSON struct {
	CA                  contentAddressJSON `json:"ca"`
	ClosureDownloadSize int64              `json:"closureDownloadSize"`
	ClosureSize         int64              `json:"closureSize"`
	Compression         Compression        `json:"compression"`
	Deriver             string             `json:"deriver"`
	DownloadHash        hashJSON           `json:"downloadHash"`
	DownloadSize        int64              `json:"downloadSize"`
	NarHash             hashJSON           `json:"narHash"`
	NarSize             int64              `json:"narSize"`
	Path                string             `json:"path"`
	References          []string           `json:"references"`
	RegistrationTime    int64              `json:"registrationTime"`
	Signatures          signatureList      `json:"signatures"`
	StoreDir            storepath.Dir      `json:"storeDir"`
	Ultimate            bool               `json:"ultimate"`
	URL                 string             `json:"url"`
	Valid               *bool              `json:"valid"`
	Version             int                `json:"version"`
}

// record checks and converts the entry of a path. The path is full, or, if the
// directory is known, a base name.
func (j *recordJSON) record(path string, dir storepath.Dir) (*Record, error) {
	r := new(Record)
	if err := j.fill(r, path, dir); err != nil {
		return nil, fmt.Errorf("%q: %w", clip(path), err)
	}
	return r, nil
}

func (j *recordJSON) fill(r *Record, path string, dir storepath.Dir) (err error) {
	n := &r.NarInfo
	if j.Version < 0 || j.Version > maxJSONFormat {
		return fmt.Errorf("version is %d, at most %d is read", j.Version, maxJSONFormat)
	}
	if dir == "" {
		dir = j.StoreDir
	}
	if dir == "" {
		dir, _, err = parseFullPath(path)
		if err != nil {
			return err
		}
	}
	if err := dir.Validate(); err != nil {
		return err
	}
	n.StoreDir = dir
	if n.Path, err = parseEither(path, dir); err != nil {
		return err
	}
	if j.Valid != nil && !*j.Valid {
		return nil
	}
	if n.NarHash = j.NarHash.Hash; n.NarHash.Algorithm() != nixhash.SHA256 {
		return errors.New("narHash: expected a hash of sha256")
	}
	for _, size := range []int64{j.NarSize, j.DownloadSize, j.ClosureSize, j.ClosureDownloadSize} {
		if size < 0 {
			return fmt.Errorf("a size is %d, expected at least 0", size)
		}
	}
	for _, text := range j.References {
		ref, err := parseEither(text, dir)
		if err != nil {
			return fmt.Errorf("references: %w", err)
		}
		n.References = append(n.References, ref)
	}
	if j.Deriver != "" && j.Deriver != noDeriver {
		if n.Deriver, err = parseEither(j.Deriver, dir); err != nil {
			return fmt.Errorf("deriver: %w", err)
		}
	}
	n.NarSize = j.NarSize
	n.CA = j.CA.ContentAddress
	n.Signatures = j.Signatures.list
	n.URL = j.URL
	n.Compression = j.Compression
	n.FileHash = j.DownloadHash.Hash
	n.FileSize = j.DownloadSize
	r.RegistrationTime = j.RegistrationTime
	r.Ultimate = j.Ultimate
	r.ClosureSize = j.ClosureSize
	r.ClosureDownloadSize = j.ClosureDownloadSize
	return nil
}

// parseEither reads a full path in dir, or a base name.
func parseEither(s string, dir storepath.Dir) (storepath.Path, error) {
	if len(s) > 0 && s[0] == '/' {
		return dir.Parse(s)
	}
	return storepath.ParseBase(s)
}
