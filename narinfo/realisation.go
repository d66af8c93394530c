package narinfo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
)

// DrvOutput names an output of a derivation. There are two generations of names:
// by DrvHash in Lix and in Nix up to 2.34, by DrvPath in Nix from 2.35. It
// compares with ==.
type DrvOutput struct {
	DrvHash nixhash.Hash   // of the derivation with its inputs replaced by their hashes; zero in the second generation
	DrvPath storepath.Path // of the resolved derivation; zero in the first generation
	Output  string         // such as "out"
}

const (
	realisationPrefix = "realisations/"
	buildTracePrefix  = "build-trace-v2/"
	realisationSuffix = ".doi"
)

// ParseDrvOutput reads the form that [DrvOutput.String] returns.
func ParseDrvOutput(s string) (DrvOutput, error) {
	var id DrvOutput
	var err error
	if hash, output, ok := strings.Cut(s, "!"); ok {
		id.Output = output
		id.DrvHash, err = nixhash.Parse(hash)
	} else if drv, output, ok := strings.Cut(s, "^"); ok {
		id.Output = output
		id.DrvPath, err = storepath.ParseBase(drv)
	} else {
		err = errors.New("expected <hash>!<output> or <derivation>^<output>")
	}
	if err == nil {
		err = id.check()
	}
	if err != nil {
		return DrvOutput{}, fmt.Errorf("derivation output %q: %w", clip(s), err)
	}
	return id, nil
}

// ParseRealisationKey reads a key that [DrvOutput.Key] returns.
func ParseRealisationKey(key string) (DrvOutput, error) {
	name := strings.TrimSuffix(key, realisationSuffix)
	if s, ok := strings.CutPrefix(name, buildTracePrefix); ok {
		name = strings.Replace(s, "/", "^", 1)
	} else {
		name = strings.TrimPrefix(name, realisationPrefix)
	}
	// A name has several texts, but only one key.
	id, err := ParseDrvOutput(name)
	if err != nil || id.Key() != key {
		return DrvOutput{}, fmt.Errorf("key %q is not that of a realisation, expected %s<algorithm>:<base16>!<output>%s or %s<derivation>/<output>%s",
			clip(key), realisationPrefix, realisationSuffix, buildTracePrefix, realisationSuffix)
	}
	return id, nil
}

// check returns an error unless exactly one of hash and path is set and the
// output can be part of a store path's name.
func (id DrvOutput) check() error {
	switch {
	case id.DrvHash.IsZero() && id.DrvPath.IsZero():
		return errors.New("derivation output has neither hash nor path of a derivation")
	case !id.DrvHash.IsZero() && !id.DrvPath.IsZero():
		return errors.New("derivation output has both hash and path of a derivation")
	case !id.DrvPath.IsZero() && !id.DrvPath.IsDerivation():
		return fmt.Errorf("%s is not a derivation", id.DrvPath)
	}
	if err := storepath.ValidateName(id.Output); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return nil
}

// Key returns the key of the realisation in a binary cache:
// realisations/sha256:<base16>!<output>.doi, or
// build-trace-v2/<derivation>/<output>.doi.
func (id DrvOutput) Key() string {
	if id.DrvPath.IsZero() {
		return realisationPrefix + id.String() + realisationSuffix
	}
	return buildTracePrefix + id.DrvPath.String() + "/" + id.Output + realisationSuffix
}

// String returns sha256:<base16>!<output>, or <derivation>^<output>.
func (id DrvOutput) String() string {
	if id.DrvPath.IsZero() {
		return id.DrvHash.Algorithm().String() + ":" + id.DrvHash.Base16() + "!" + id.Output
	}
	return id.DrvPath.String() + "^" + id.Output
}

// Realisation maps an output of a content-addressed derivation to the store
// object that was built. Its generation is that of ID.
type Realisation struct {
	ID         DrvOutput
	OutPath    storepath.Path
	Signatures []Signature // a set

	// Dependent maps the outputs that the build used to their store objects.
	// Lix and older Nix record them. The second generation has none.
	Dependent map[DrvOutput]storepath.Path
}

// maxRealisation bounds the JSON of one realisation in bytes.
const maxRealisation = 4 << 20

// ParseRealisation reads the object with the key of id, of at most 4 MiB. An
// object of the first generation repeats the ID, and one of the second may; the
// repeated ID must be id.
func ParseRealisation(id DrvOutput, data []byte) (*Realisation, error) {
	r, err := parseRealisation(id, data)
	if err != nil {
		return nil, fmt.Errorf("realisation %v: %w", id, err)
	}
	return r, nil
}

func parseRealisation(id DrvOutput, data []byte) (*Realisation, error) {
	if err := id.check(); err != nil {
		return nil, err
	}
	r, err := decodeRealisation(data)
	if err != nil {
		return nil, err
	}
	given := r.ID
	if given == (DrvOutput{}) {
		r.ID = id
	}
	if r.ID != id {
		return nil, fmt.Errorf("the object is the realisation of %v", r.ID)
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if given != id && id.DrvPath.IsZero() {
		return nil, errors.New("the object has no id, expected that of its key")
	}
	return r, nil
}

// UnmarshalJSON reads a realisation of either generation. It must contain its ID.
func (r *Realisation) UnmarshalJSON(data []byte) error {
	parsed, err := decodeRealisation(data)
	if err == nil {
		err = parsed.check()
	}
	if err != nil {
		return fmt.Errorf("realisation: %w", err)
	}
	*r = *parsed
	return nil
}

// realisationJSON has the fields of every form of a realisation, in alphabetical
// order, in which Nix signs them.
type realisationJSON struct {
	Dependent  map[string]storepath.Path `json:"dependentRealisations,omitzero"`
	ID         string                    `json:"id,omitzero"`
	Key        *buildTraceKey            `json:"key,omitzero"`
	OutPath    storepath.Path            `json:"outPath,omitzero"`
	Signatures signatureList             `json:"signatures,omitzero"`
	Value      *buildTraceValue          `json:"value,omitzero"`
}

type buildTraceKey struct {
	DrvPath    storepath.Path `json:"drvPath"`
	OutputName string         `json:"outputName"`
}

type buildTraceValue struct {
	OutPath    storepath.Path `json:"outPath"`
	Signatures signatureList  `json:"signatures,omitzero"`
}

func decodeRealisation(data []byte) (*Realisation, error) {
	if len(data) > maxRealisation {
		return nil, fmt.Errorf("%d bytes, at most %d are read", len(data), maxRealisation)
	}
	var j realisationJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return nil, err
	}
	r := &Realisation{OutPath: j.OutPath, Signatures: j.Signatures.list}
	switch {
	case j.Key != nil && j.Value != nil:
		r.ID = DrvOutput{DrvPath: j.Key.DrvPath, Output: j.Key.OutputName}
		r.OutPath, r.Signatures = j.Value.OutPath, j.Value.Signatures.list
	case j.Key != nil || j.Value != nil:
		return nil, errors.New("key and value go together")
	case j.ID != "":
		id, err := ParseDrvOutput(j.ID)
		if err != nil {
			return nil, err
		}
		r.ID = id
	}
	for text, path := range j.Dependent {
		id, err := ParseDrvOutput(text)
		if err != nil {
			return nil, fmt.Errorf("dependentRealisations: %w", err)
		}
		if r.Dependent == nil {
			r.Dependent = make(map[DrvOutput]storepath.Path, len(j.Dependent))
		}
		// A hash has several texts, so an ID may be repeated. The order of a
		// map must not decide which of two paths counts.
		if other, ok := r.Dependent[id]; ok && other != path {
			return nil, fmt.Errorf("dependentRealisations: expected one path of %v, got %v and %v", id, other, path)
		}
		r.Dependent[id] = path
	}
	return r, nil
}

// check returns an error if r cannot be signed or written.
func (r *Realisation) check() error {
	if err := r.ID.check(); err != nil {
		return err
	}
	if r.OutPath.IsZero() {
		return errors.New("outPath is missing")
	}
	if len(r.Dependent) > 0 && !r.ID.DrvPath.IsZero() {
		return errors.New("dependent realisations do not go with the path of a derivation")
	}
	for id, path := range r.Dependent {
		if err := id.check(); err != nil {
			return fmt.Errorf("dependent realisation: %w", err)
		}
		if id.DrvHash.IsZero() || path.IsZero() {
			return fmt.Errorf("dependent realisation %v has no hash or no path", id)
		}
	}
	return nil
}

// json returns r for encoding, with sigs as its signatures.
func (r *Realisation) json(sigs signatureList) realisationJSON {
	if !r.ID.DrvPath.IsZero() {
		return realisationJSON{
			Key:   &buildTraceKey{r.ID.DrvPath, r.ID.Output},
			Value: &buildTraceValue{r.OutPath, sigs},
		}
	}
	dependent := make(map[string]storepath.Path, len(r.Dependent))
	for id, path := range r.Dependent {
		dependent[id.String()] = path
	}
	return realisationJSON{Dependent: dependent, ID: r.ID.String(), OutPath: r.OutPath, Signatures: sigs}
}

// signatures returns the signatures in the form of the generation.
func (r *Realisation) signatures() signatureList {
	return signatureList{list: append([]Signature{}, inNixOrder(r.Signatures)...), objects: !r.ID.DrvPath.IsZero()}
}

// MarshalJSON writes r with its ID: in the second generation as key and value.
func (r Realisation) MarshalJSON() ([]byte, error) { return r.encodeSigned(r.json(r.signatures())) }

// MarshalObject returns the object that a cache stores under r.ID.Key(). In the
// second generation this is only the value, since the key contains the rest.
func (r *Realisation) MarshalObject() ([]byte, error) {
	if r.ID.DrvPath.IsZero() {
		return r.MarshalJSON()
	}
	return r.encodeSigned(buildTraceValue{r.OutPath, r.signatures()})
}

// Fingerprint returns the text that is signed: the JSON of
// [Realisation.MarshalJSON] without the signatures.
func (r *Realisation) Fingerprint() (string, error) {
	text, err := r.encode(r.json(signatureList{}))
	return string(text), err
}

// encodeSigned encodes v, which contains the signatures.
func (r *Realisation) encodeSigned(v any) ([]byte, error) {
	if err := checkSignatureList(r.Signatures); err != nil {
		return nil, fmt.Errorf("realisation: %w", err)
	}
	return r.encode(v)
}

func (r *Realisation) encode(v any) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("realisation: %w", err)
	}
	return encodeJSON(v)
}

// Sign adds a signature by each of the signers, unless r has it already. It
// verifies them as [PathInfo.Sign] does. On an error, r is unchanged.
func (r *Realisation) Sign(ctx context.Context, signers ...Signer) error {
	fingerprint, err := r.Fingerprint()
	if err != nil {
		return err
	}
	sigs, err := sign(ctx, []byte(fingerprint), r.Signatures, signers)
	if err != nil {
		return fmt.Errorf("realisation %v: %w", r.ID, err)
	}
	r.Signatures = sigs
	return nil
}

// VerifyRealisation returns nil if any of the keys verifies any signature of r.
// Otherwise the error is an [*UntrustedError], or that of
// [Realisation.Fingerprint].
func (keys TrustedKeys) VerifyRealisation(r *Realisation) error {
	fingerprint, err := r.Fingerprint()
	if err != nil {
		return err
	}
	if keys.anyGood([]byte(fingerprint), r.Signatures) {
		return nil
	}
	return keys.untrusted("realisation "+r.ID.String(), r.Signatures, nil)
}
