package narinfo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
)

// signatureList encodes signatures in one of two JSON forms: "<name>:<base64>"
// and {"keyName":…,"sig":…}. It decodes both, even mixed.
type signatureList struct {
	list    []Signature
	objects bool // the form to write
}

type signatureJSON struct {
	KeyName string `json:"keyName"`
	Sig     string `json:"sig"`
}

// IsZero makes encoding/json's omitzero leave out a nil list. An empty list that
// is not nil is written.
func (l signatureList) IsZero() bool { return l.list == nil }

func (l signatureList) MarshalJSON() ([]byte, error) {
	if !l.objects {
		return encodeJSON(l.list)
	}
	objects := make([]signatureJSON, len(l.list))
	for i, sig := range l.list {
		_, text, _ := strings.Cut(sig.String(), ":")
		objects[i] = signatureJSON{sig.KeyName, text}
	}
	return encodeJSON(objects)
}

// UnmarshalJSON decodes one signature after the other, so that a list of
// anything else takes no memory. As in a narinfo, it ignores a text that is not a
// signature.
func (l *signatureList) UnmarshalJSON(data []byte) error {
	l.list = nil // of a repeated field, the last counts
	count := 0
	return decodeArray(data, func(item json.RawMessage) error {
		if count++; count > maxSignatures {
			return fmt.Errorf("more than %d signatures", maxSignatures)
		}
		name, text, err := decodeSignature(item)
		if err != nil {
			return err
		}
		if sig, err := newSignature(name, text); err == nil && !slices.Contains(l.list, sig) {
			l.list = append(l.list, sig)
		}
		return nil
	})
}

// checkSignatureList returns an error if UnmarshalJSON could not read the
// signatures.
func checkSignatureList(sigs []Signature) error {
	if n := len(inNixOrder(sigs)); n > maxSignatures {
		return fmt.Errorf("%d signatures, at most %d are read", n, maxSignatures)
	}
	return checkSignatures(sigs)
}

// decodeArray decodes the items of an array, or null, one after the other, until
// take returns an error.
func decodeArray[T any](data []byte, take func(item T) error) error {
	if string(data) == "null" {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if open, err := decoder.Token(); err != nil {
		return err
	} else if open != json.Delim('[') {
		return fmt.Errorf("%q is not an array", clip(fmt.Sprint(open)))
	}
	for decoder.More() {
		var item T
		err := decoder.Decode(&item)
		if err == nil {
			err = take(item)
		}
		if err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("something follows the array")
	}
	return nil
}

// decodeSignature returns the name of the key and the base64 text.
func decodeSignature(data []byte) (name, text string, err error) {
	if bytes.HasPrefix(data, []byte("{")) {
		var object signatureJSON
		err := json.Unmarshal(data, &object)
		return object.KeyName, object.Sig, err
	}
	err = json.Unmarshal(data, &text)
	name, text, _ = strings.Cut(text, ":")
	return name, text, err
}

// encodeJSON is json.Marshal without the escapes for HTML, which Nix does not
// write.
func encodeJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// contentAddressJSON is a string, or in format 2 and later an object.
type contentAddressJSON struct{ storepath.ContentAddress }

type contentAddressObject struct {
	Hash   hashJSON `json:"hash"`
	Method string   `json:"method"`
}

func (ca *contentAddressJSON) UnmarshalJSON(data []byte) error {
	if !bytes.HasPrefix(data, []byte("{")) {
		return json.Unmarshal(data, &ca.ContentAddress)
	}
	var object contentAddressObject
	err := json.Unmarshal(data, &object)
	if err != nil {
		return err
	}
	ca.Hash = object.Hash.Hash
	if ca.Method, err = storepath.ParseMethod(object.Method); err != nil {
		return err
	}
	return ca.Validate()
}

// hashJSON is a string, or, in format 2 as Nix 2.33 writes it, an object. It is
// written as SRI.
type hashJSON struct{ nixhash.Hash }

func (h hashJSON) MarshalJSON() ([]byte, error) { return json.Marshal(h.SRI()) }

func (h *hashJSON) UnmarshalJSON(data []byte) (err error) {
	if !bytes.HasPrefix(data, []byte("{")) {
		return json.Unmarshal(data, &h.Hash)
	}
	var object struct {
		Algorithm string `json:"algorithm"`
		Hash      string `json:"hash"`
	}
	if err := json.Unmarshal(data, &object); err != nil {
		return err
	}
	algorithm, err := nixhash.ParseAlgorithm(object.Algorithm)
	if err != nil {
		return err
	}
	h.Hash, err = nixhash.ParseDigest(algorithm, object.Hash)
	return err
}
