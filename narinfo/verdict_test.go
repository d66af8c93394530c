package narinfo_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo"
	"example.com/nixs3/narinfo/storepath"
)

// TestNixVerdicts compares this package with the behaviour of Nix 2.8 for broken
// narinfos. A line of testdata/nix28-narinfo-verdicts.txt says whether Nix
// substituted hello-1.0, what was changed, and the message of Nix.
func TestNixVerdicts(t *testing.T) {
	base := strings.Join(slicesWithout(strings.SplitAfter(fromCorpus(t, helloBase), "\n"), "Sig: other-2"), "")
	require.Contains(t, base, "Sig: lab-cache-1:")
	const (
		narHash = "NarHash: sha256:1qg2sq2vdipzhwsqljsyk3npvd62jx2bc2627j7nq50xb7lcsas5\n"
		deriver = "Deriver: 5m7l05jwzz3klia26wvnh8q8m2rmcq98-hello-1.0.drv\n"
		url     = "URL: nar/1bjis00k3w8rmkh7kydmq40lylvi59y69awvkwh6j50x0d1hmdfw.nar.xz\n"
		sigData = "3kp7E3AvPNFmjDft1ZecTD5V/mKsiNGyiDlxVgxYs+OBPQKA+R3GqBZ05xwXW+GPdj0rHaf8ScR2lY71WZdEBQ=="
		sig     = "Sig: lab-cache-1:" + sigData + "\n"
		refs    = "References: \n"
	)
	swap := func(old, replacement string) string {
		require.Contains(t, base, old)
		return strings.Replace(base, old, replacement, 1)
	}
	reversed := strings.SplitAfter(base, "\n")
	for i, j := 0, len(reversed)-1; i < j; i, j = i+1, j-1 {
		reversed[i], reversed[j] = reversed[j], reversed[i]
	}

	narinfos := map[string]string{
		"baseline":                             base,
		"CRLF line ends":                       strings.ReplaceAll(base, "\n", "\r\n"),
		"no trailing newline":                  strings.TrimSuffix(base, "\n"),
		`unknown field "Foo: bar"`:             base + "Foo: bar\n",
		"line without colon":                   base + "nonsense\n",
		"empty line in the middle":             swap("FileHash", "\nFileHash"),
		"field order reversed":                 strings.Join(reversed, ""),
		"no Compression field, body bzip2":     swap("Compression: xz\n", ""),
		"no Compression field, body xz":        swap("Compression: xz\n", ""),
		"Compression: bogus":                   swap("Compression: xz", "Compression: bogus"),
		"no FileHash":                          swap("FileHash: sha256:1bjis00k3w8rmkh7kydmq40lylvi59y69awvkwh6j50x0d1hmdfw\n", ""),
		"no FileSize":                          swap("FileSize: 340\n", ""),
		"wrong FileHash":                       swap("FileHash: sha256:1b", "FileHash: sha256:0b"),
		"wrong FileSize":                       swap("FileSize: 340", "FileSize: 341"),
		"FileSize not a number":                swap("FileSize: 340", "FileSize: abc"),
		"no NarHash":                           swap(narHash, ""),
		"no NarSize":                           swap("NarSize: 1984\n", ""),
		"NarSize: 0":                           swap("NarSize: 1984", "NarSize: 0"),
		"NarSize wrong, signed":                swap("NarSize: 1984", "NarSize: 1985"),
		"NarHash base16":                       swap(narHash, "NarHash: sha256:452bcde8591d146c8f3cc208b64497c2b47ded985e4b8a3587ffc6b605d6e2e1\n"),
		"NarHash base64 with sha256:":          swap(narHash, "NarHash: sha256:RSvN6FkdFGyPPMIItkSXwrR97ZheS4o1h//GtgXW4uE=\n"),
		"NarHash SRI sha256-":                  swap(narHash, "NarHash: sha256-RSvN6FkdFGyPPMIItkSXwrR97ZheS4o1h//GtgXW4uE=\n"),
		"no URL":                               swap(url, ""),
		"URL absolute http":                    swap("URL: ", "URL: http://127.0.0.1:18082/"),
		"URL ../ relative":                     swap("URL: ", "URL: ../cache/"),
		"URL with ?query":                      swap(".nar.xz\n", ".nar.xz?a=b\n"),
		"URL other name":                       swap(url, "URL: other\n"),
		"no StorePath":                         swap("StorePath: /nix/store/"+helloBase+"\n", ""),
		"StorePath of another path":            swap(helloBase, wrapperBase),
		"StorePath same hash other name":       swap(helloBase, helloBase+"x"),
		"duplicate NarSize (2nd differs)":      swap("NarSize: 1984\n", "NarSize: 1984\nNarSize: 1985\n"),
		"duplicate References":                 swap(refs, "References: "+wrapperBase+"\nReferences: "+wrapperBase+"\n"),
		"no References field":                  swap(refs, ""),
		`"References:" without trailing space`: swap(refs, "References:\n"),
		"References with invalid name":         swap(refs, "References: ../x\n"),
		"References as full path":              swap(refs, "References: /nix/store/"+helloBase+"\n"),
		"Deriver: unknown-deriver":             swap(deriver, "Deriver: unknown-deriver\n"),
		"Deriver without .drv":                 swap(".drv\n", "\n"),
		"no Deriver":                           swap(deriver, ""),
		"Deriver as full path":                 swap("Deriver: ", "Deriver: /nix/store/"),
		"System: x86_64-linux (legacy field)":  swap(deriver, deriver+"System: x86_64-linux\n"),
		"Sig malformed (no colon)":             swap(sig, "Sig: "+sigData+"\n"),
		"Sig malformed base64":                 swap(sig, "Sig: lab-cache-1:"+strings.Repeat("*", 88)+"\n"),
		"Sig short (32 bytes)":                 swap(sig, "Sig: lab-cache-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"),
		"good Sig after a bad-by-same-key Sig": swap(sig, "Sig: lab-cache-1:"+strings.Repeat("A", 86)+"==\n"+sig),
		"good Sig preceded by unknown key":     swap(sig, "Sig: nobody:"+strings.Repeat("A", 86)+"==\n"+sig),
		"Sig right bytes, other key name":      swap("lab-cache-1:", "nobody:"),
		"two CA fields":                        base + strings.Repeat("CA: fixed:r:sha256:1qg2sq2vdipzhwsqljsyk3npvd62jx2bc2627j7nq50xb7lcsas5\n", 2),
		"CA bogus":                             base + "CA: bogus\n",
	}
	cacheInfos := map[string]string{
		"nix-cache-info empty":                           "",
		"nix-cache-info without StoreDir":                "WantMassQuery: 1\nPriority: 30\n",
		"nix-cache-info StoreDir other":                  "StoreDir: /other/store\n",
		"nix-cache-info with unknown fields/blank lines": "\nStoreDir: /nix/store\n\nFoo: bar\n",
		"nix-cache-info Priority not a number":           "StoreDir: /nix/store\nPriority: abc\n",
		"nix-cache-info StoreDir trailing slash":         "StoreDir: /nix/store/\n",
	}
	// These depend on the archive, or have no text to read.
	elsewhere := []string{
		"Compression: empty, body plain", "Compression: none, body xz (lie)", "NarSize wrong, no sig required",
		"NarHash wrong, no sig required", "NAR truncated", "NAR xz + trailing garbage", "NAR plain + trailing zero bytes",
		"two concatenated xz streams", "NAR 404", "nix-cache-info missing",
	}

	keys := trusted(t, "lab-cache-1")
	want := storePath(t, helloBase)
	accepted := func(text string) error {
		n, err := narinfo.Parse([]byte(text))
		if err != nil {
			return err
		}
		if err := keys.Verify(&n.PathInfo); err != nil {
			return err
		}
		if n.Path != want {
			return assert.AnError
		}
		return nil
	}
	acceptedCacheInfo := func(text string) error {
		c, err := narinfo.ParseCacheInfo([]byte(text))
		if err != nil {
			return err
		}
		if c.StoreDir != "" && c.StoreDir != storepath.Default {
			return assert.AnError
		}
		return nil
	}

	rows := 0
	for line := range strings.Lines(readFile(t, "testdata/nix28-narinfo-verdicts.txt")) {
		rows++
		columns := strings.SplitN(line, " | ", 3)
		verdict, change := columns[0], columns[1]
		t.Run(change, func(t *testing.T) {
			var err error
			if text, ok := narinfos[change]; ok {
				err = accepted(text)
			} else if text, ok := cacheInfos[change]; ok {
				err = acceptedCacheInfo(text)
			} else {
				require.Contains(t, elsewhere, change)
				return
			}
			if verdict == "ACCEPT" {
				require.NoError(t, err)
			} else {
				require.Equal(t, "REJECT", verdict)
				require.Error(t, err)
			}
		})
	}
	assert.Equal(t, len(narinfos)+len(cacheInfos)+len(elsewhere), rows)
}

func slicesWithout(lines []string, prefix string) []string {
	var kept []string
	for _, line := range lines {
		if !strings.HasPrefix(line, prefix) {
			kept = append(kept, line)
		}
	}
	return kept
}
