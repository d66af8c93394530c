package narinfo_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
)

// differences are the texts for which Parse differs from all three versions of
// Nix, as its comment lists.
var differences = map[string]string{
	"URL without a space":                            "refuse",
	"URL without a value or a space":                 "refuse",
	"Compression without a space":                    "refuse",
	"Compression without a value or a space":         "refuse",
	"FileSize without a space":                       "refuse",
	"NarSize without a space":                        "refuse",
	"Sig without a space":                            "refuse",
	"NarSize with a letter for the space":            "refuse",
	"NarHash with a letter for the space":            "refuse",
	"NarSize of 2^63":                                "refuse",
	"NarSize of 2^64-1":                              "refuse",
	"FileSize of 2^63":                               "refuse",
	"FileSize of 2^64-1":                             "refuse",
	"NarHash of md5":                                 "refuse",
	"NarHash of sha1":                                "refuse",
	"NarHash of sha512":                              "refuse",
	"CA of git":                                      "signed",
	"CA of blake3":                                   "signed",
	"FileHash of blake3":                             "signed",
	"StorePath of another store":                     "unsigned",
	"Sig of 32 bytes, alone":                         "unsigned",
	"Sig of 63 bytes, alone":                         "unsigned",
	"Sig of 65 bytes, alone":                         "unsigned",
	"Sig of 32 bytes, before a good one":             "signed",
	"Sig of 63 bytes, before a good one":             "signed",
	"Sig of 65 bytes, before a good one":             "signed",
	"good Sig, then one of 32 bytes by the same key": "signed",
}

// TestOddNarInfos compares Parse and Verify with three versions of real Nix. If
// these agree, this package does too, or the difference is in the table above.
// If they do not, it may agree with any.
func TestOddNarInfos(t *testing.T) {
	base := strings.Join(slicesWithout(strings.SplitAfter(fromCorpus(t, helloBase), "\n"), "Sig: other-2"), "")
	keys := trusted(t, "lab-cache-1")
	used := map[string]bool{}
	for line := range strings.Lines(readFile(t, "testdata/nix-narinfo-verdicts.txt")) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		name, verdicts := columns[0], columns[1:4]
		quoted := make([]string, 0, len(columns))
		for _, column := range columns[4:] {
			text, err := strconv.Unquote(column)
			require.NoError(t, err, column)
			quoted = append(quoted, text)
		}
		t.Run(name, func(t *testing.T) {
			text := change(t, base, quoted[0], quoted[1])
			n, err := narinfo.Parse([]byte(text))
			got := "refuse"
			if err == nil {
				got = "unsigned"
				if keys.Verify(&n.PathInfo) == nil {
					got = "signed"
				}
			}
			if want, ok := differences[name]; ok {
				used[name] = true
				assert.NotContains(t, verdicts, want, "not a difference")
				assert.Equal(t, want, got)
				return
			}
			if verdicts[0] == verdicts[1] && verdicts[1] == verdicts[2] {
				assert.Equal(t, verdicts[0], got)
			}
			if err != nil {
				return
			}
			for _, value := range quoted[2:] {
				assert.Contains(t, valuesOf(n), value)
			}
			again, err := n.MarshalText()
			require.NoError(t, err)
			assert.True(t, n.Equal(parse(t, string(again))))
		})
	}
	assert.Len(t, used, len(differences))
}

// change replaces the first old text. "" stands for the end, "^" for the
// beginning.
func change(t *testing.T, text, old, replacement string) string {
	switch old {
	case "":
		return text + replacement
	case "^":
		return replacement + text
	}
	require.Contains(t, text, old)
	return strings.Replace(text, old, replacement, 1)
}

func valuesOf(n *narinfo.NarInfo) []string {
	references := map[storepath.Path]bool{}
	for _, ref := range n.References {
		references[ref] = true
	}
	return []string{
		fmt.Sprintf("NarSize=%d", n.NarSize), fmt.Sprintf("FileSize=%d", n.FileSize), fmt.Sprintf("References=%d", len(references)),
		"Deriver=" + n.Deriver.String(), "URL=" + n.URL, fmt.Sprintf("Compression=%s", n.Compression),
	}
}
