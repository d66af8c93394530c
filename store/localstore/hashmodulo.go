package localstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"example.com/nixs3/narinfo/storepath"
)

// maxDerivation bounds a derivation file in bytes.
const maxDerivation = 16 << 20

// hasher computes the hashes of derivations, each once.
type hasher struct {
	read func(drv string) ([]byte, error) // by the full path
	done map[string]string                // in base 16; empty while a hash is computed
}

// realisationHash returns sha256:<base16>, by which Nix up to 2.34 and Lix name
// the realisations of a derivation.
func (s *Store) realisationHash(ctx context.Context, drv storepath.Path) (string, error) {
	h := hasher{done: map[string]string{}, read: func(full string) ([]byte, error) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		p, err := s.opts.StoreDir.Parse(full)
		if err != nil {
			return nil, err
		}
		f, err := openRegular(s.Physical(p))
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, maxDerivation))
	}}
	sum, err := h.modulo(s.opts.StoreDir.Join(drv), true)
	return "sha256:" + sum, err
}

// modulo returns the hash of a derivation in which the hashes of its inputs take
// the place of their names, in base 16. So the hash does not depend on how a
// fixed output is made.
func (h *hasher) modulo(drv string, masked bool) (string, error) {
	text, err := h.read(drv)
	if err != nil {
		return "", err
	}
	d, err := parseDerivation(text)
	if err != nil {
		return "", fmt.Errorf("derivation %s: %w", drv, err)
	}
	if o, ok := d.fixed(); ok {
		return sha256Hex(slices.Concat([]byte("fixed:"), unquoted(o.name), []byte(":"), unquoted(o.algorithm), []byte(":"), unquoted(o.hash), []byte(":"), unquoted(o.path))), nil
	}
	byHash := map[string]map[string]bool{}
	for _, in := range d.inputs {
		sum, err := h.input(string(unquoted(in.drv)))
		if err != nil {
			return "", err
		}
		if byHash[sum] == nil {
			byHash[sum] = map[string]bool{}
		}
		for _, name := range in.outputs {
			byHash[sum][string(name)] = true
		}
	}
	var inputs []derivationInput
	for _, sum := range slices.Sorted(maps.Keys(byHash)) {
		in := derivationInput{drv: []byte(`"` + sum + `"`)}
		for _, name := range slices.Sorted(maps.Keys(byHash[sum])) {
			in.outputs = append(in.outputs, []byte(name))
		}
		inputs = append(inputs, in)
	}
	return sha256Hex(d.appendText(nil, inputs, masked)), nil
}

var errCircle = errors.New("a derivation is its own input")

// input is modulo for the input of another derivation.
func (h *hasher) input(drv string) (string, error) {
	if sum, ok := h.done[drv]; ok {
		if sum == "" {
			return "", fmt.Errorf("derivation %s: %w", drv, errCircle)
		}
		return sum, nil
	}
	h.done[drv] = ""
	sum, err := h.modulo(drv, false)
	if err == nil {
		h.done[drv] = sum
	}
	return sum, err
}

func sha256Hex(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// unquoted returns a string without its quotes. Paths, hashes and names of
// outputs contain nothing that is escaped.
func unquoted(s []byte) []byte { return s[1 : len(s)-1] }
