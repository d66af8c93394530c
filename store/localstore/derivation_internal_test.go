package localstore

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// leaf is a derivation as Nix 2.8 writes one, with a quote and a floating output.
const leaf = `Derive([("out","","r:sha256","")],[],["/nix/store/x"],"x86_64-linux","/bin/sh",["-c","echo \"lib\\\" > $out"],` +
	`[("name","ca-lib"),("out","/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9")])`

func TestDerivationText(t *testing.T) {
	for _, text := range []string{leaf, `Derive([],[],[],"","",[],[])`,
		`Derive([("dev","a","",""),("out","b","","")],[("/nix/store/d.drv",["dev","out"]),("/nix/store/e.drv",["out"])],[],"","",[],[("a","b")])`} {
		d, err := parseDerivation([]byte(text))
		require.NoError(t, err, text)
		assert.Equal(t, text, string(d.appendText(nil, d.inputs, false)))
	}
	d, err := parseDerivation([]byte(leaf))
	require.NoError(t, err)
	assert.Contains(t, string(d.appendText(nil, nil, true)), `("out","")])`, "the variable of an output is masked")
	for text, message := range map[string]string{
		"":                                "offset 0: expected Derive(",
		`DrvWithVersion("xp-dyn-drv",[])`: "offset 0: expected Derive(",
		`Derive([("out`:                   "expected the end of a string",
		`Derive([("out\`:                  "expected the end of a string",
		`Derive([],[],[],"","",[],[])x`:   "offset 28: expected the end",
		`Derive([("out","","")],[],[],"","",[],[`: "offset 20: expected ,",
	} {
		_, err := parseDerivation([]byte(text))
		require.ErrorContains(t, err, message, text)
	}
}

// TestHashModulo covers what a real Nix does not build in the tests: a circle of
// inputs, a missing input, and inputs with the same hash.
func TestHashModulo(t *testing.T) {
	drv := func(inputs string) string {
		return `Derive([("out","","r:sha256","")],[` + inputs + `],[],"","",[],[])`
	}
	fixed := func(builder string) string {
		return `Derive([("out","/nix/store/f","sha256","00")],[],[],"","` + builder + `",[],[])`
	}
	h := &hasher{done: map[string]string{}, read: func(name string) ([]byte, error) {
		text, ok := map[string]string{
			"circle": drv(`("circle2",["out"])`), "circle2": drv(`("circle",["out"])`), "self": drv(`("self",["out"])`),
			"missing": drv(`("nothing",["out"])`), "a": fixed("a"), "b": fixed("b"), "broken": "Derive(",
			"both": drv(`("a",["out"]),("b",["out"])`), "one": drv(`("b",["out"])`),
		}[name]
		if !ok {
			return nil, os.ErrNotExist
		}
		return []byte(text), nil
	}}
	for _, name := range []string{"circle", "self"} {
		_, err := h.modulo(name, true)
		require.ErrorIs(t, err, errCircle, name)
	}
	_, err := h.modulo("missing", true)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = h.modulo("broken", true)
	require.ErrorContains(t, err, "derivation broken: offset 7: expected [")
	both, err := h.modulo("both", true)
	require.NoError(t, err)
	one, err := h.modulo("one", true)
	require.NoError(t, err)
	assert.Equal(t, one, both, "a fixed output is one input, however it is made")
}

// FuzzDerivation holds what parses to print as it was.
func FuzzDerivation(f *testing.F) {
	for _, text := range []string{leaf, "Derive([", `Derive([],[],[],"","",[],[])`, `Derive([("out","\`, `Derive([],[("a",["b","c"])],["d"],"e","f",["g"],[("h","i")])`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := parseDerivation(text)
		if err != nil {
			return
		}
		assert.Equal(t, string(text), string(d.appendText(nil, d.inputs, false)))
		d.appendText(nil, nil, true)
		if o, ok := d.fixed(); ok {
			unquoted(o.name)
		}
		for _, in := range d.inputs {
			unquoted(in.drv)
		}
	})
}
