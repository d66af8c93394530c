package localstore

import (
	"bytes"
	"fmt"
	"slices"
)

// derivation is a derivation file of Nix: an ATerm
//
//	Derive([outputs],[inputs],[sources],"system","builder",[arguments],[environment])
//
// Strings are kept as they are written, with their quotes.
type derivation struct {
	outputs []derivationOutput
	inputs  []derivationInput
	middle  []byte // sources, system, builder and arguments
	env     []variable
}

// derivationOutput is an output. Its path is empty if the contents decide it;
// its hash is set if the output is fixed.
type derivationOutput struct{ name, path, algorithm, hash []byte }

// derivationInput is a derivation with those of its outputs that are used.
type derivationInput struct {
	drv     []byte
	outputs [][]byte
}

type variable struct{ name, value []byte }

// parseDerivation parses the text of a derivation file.
func parseDerivation(text []byte) (*derivation, error) {
	s := &scanner{text: text}
	d := &derivation{}
	s.expect("Derive(")
	s.list(func() {
		s.expect("(")
		var o derivationOutput
		for i, field := range []*[]byte{&o.name, &o.path, &o.algorithm, &o.hash} {
			if i > 0 {
				s.expect(",")
			}
			*field = s.str()
		}
		s.expect(")")
		d.outputs = append(d.outputs, o)
	})
	s.expect(",")
	s.list(func() {
		s.expect("(")
		in := derivationInput{drv: s.str()}
		s.expect(",")
		s.list(func() { in.outputs = append(in.outputs, s.str()) })
		s.expect(")")
		d.inputs = append(d.inputs, in)
	})
	s.expect(",")
	start := s.pos
	s.list(func() { s.str() })
	s.expect(",")
	s.str()
	s.expect(",")
	s.str()
	s.expect(",")
	s.list(func() { s.str() })
	d.middle = text[start:s.pos]
	s.expect(",")
	s.list(func() {
		s.expect("(")
		v := variable{name: s.str()}
		s.expect(",")
		v.value = s.str()
		s.expect(")")
		d.env = append(d.env, v)
	})
	s.expect(")")
	if s.err == nil && s.pos != len(text) {
		s.fail("the end")
	}
	return d, s.err
}

// scanner reads an ATerm. After an error it stays where it is.
type scanner struct {
	text []byte
	pos  int
	err  error
}

func (s *scanner) fail(expected string) {
	if s.err == nil {
		s.err = fmt.Errorf("offset %d: expected %s", s.pos, expected)
	}
}

// at reports whether a token follows, and skips it.
func (s *scanner) at(token string) bool {
	if s.err != nil || !bytes.HasPrefix(s.text[s.pos:], []byte(token)) {
		return false
	}
	s.pos += len(token)
	return true
}

func (s *scanner) expect(token string) {
	if !s.at(token) {
		s.fail(token)
	}
}

// list reads a list. item reads one of its items.
func (s *scanner) list(item func()) {
	s.expect("[")
	for n := 0; s.err == nil && !s.at("]"); n++ {
		if n > 0 {
			s.expect(",")
		}
		item()
	}
}

// str reads a string and returns it with its quotes.
func (s *scanner) str() []byte {
	start := s.pos
	s.expect(`"`)
	for s.err == nil && !s.at(`"`) {
		if s.at(`\`) && s.pos == len(s.text) || s.pos == len(s.text) {
			s.fail("the end of a string")
			return nil
		}
		s.pos++
	}
	return s.text[start:s.pos]
}

// appendText appends the text of the derivation with other inputs. With masked,
// it omits the paths of the outputs, as Nix does for the hash that names
// realisations.
func (d *derivation) appendText(text []byte, inputs []derivationInput, masked bool) []byte {
	empty := []byte(`""`)
	names := map[string]bool{}
	text = append(text, "Derive(["...)
	for i, o := range d.outputs {
		names[string(o.name)] = true
		if masked {
			o.path = empty
		}
		text = appendTuple(text, i, o.name, o.path, o.algorithm, o.hash)
	}
	text = append(text, "],["...)
	for i, in := range inputs {
		outputs := slices.Concat([]byte("["), bytes.Join(in.outputs, []byte(",")), []byte("]"))
		text = appendTuple(text, i, in.drv, outputs)
	}
	text = append(text, "],"...)
	text = append(text, d.middle...)
	text = append(text, ",["...)
	for i, v := range d.env {
		if masked && names[string(v.name)] {
			v.value = empty
		}
		text = appendTuple(text, i, v.name, v.value)
	}
	return append(text, "])"...)
}

func appendTuple(text []byte, i int, fields ...[]byte) []byte {
	if i > 0 {
		text = append(text, ',')
	}
	text = append(text, '(')
	text = append(text, bytes.Join(fields, []byte(","))...)
	return append(text, ')')
}

// fixed returns the output of a derivation with a fixed output.
func (d *derivation) fixed() (derivationOutput, bool) {
	if len(d.outputs) != 1 || string(d.outputs[0].hash) == `""` || string(d.outputs[0].path) == `""` {
		return derivationOutput{}, false
	}
	return d.outputs[0], true
}
