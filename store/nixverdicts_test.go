package store_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store"
	"example.com/nixs3/store/internal/lab"
)

// The path of the corpus whose narinfo the cases change.
const oddPath = "jf2gzi0ky7bkrvh7m4p18xfdghdrzvw6-hello-1.0"

// oddNarInfo returns the narinfo that the cases change, with one signature.
func oddNarInfo(t *testing.T) string {
	text, err := os.ReadFile(filepath.Join(lab.Cache(t, "full-xz"), oddPath[:32]+".narinfo"))
	require.NoError(t, err)
	lines := slices.DeleteFunc(strings.SplitAfter(string(text), "\n"), func(line string) bool { return strings.HasPrefix(line, "Sig: other-2") })
	return strings.Join(lines, "")
}

// oddCache makes a directory that is a cache of one narinfo.
func oddCache(t *testing.T, nix *lab.Nix, cacheInfo, info string) string {
	dir, err := os.MkdirTemp(nix.Dir, "odd-") // no URL can have the names of all cases
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "nix-cache-info"), []byte(cacheInfo), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, oddPath[:32]+".narinfo"), []byte(info), 0o644))
	return "file://" + dir
}

// nixVerdict is what the Nix on PATH makes of the path in a cache: refuse,
// signed, unsigned, or error where it fails to look at the signatures.
func nixVerdict(t *testing.T, nix *lab.Nix, cache string) string {
	path := "/nix/store/" + oddPath
	if r := nix.Try("nix", "path-info", "--json", "--store", cache, path); r.Exit != 0 {
		t.Log(r.Stderr)
		return "refuse"
	}
	r := nix.Try("nix", "store", "verify", "--no-contents", "--store", cache, path, "--option", "trusted-public-keys", strings.TrimSpace(lab.PublicKey(t)))
	if verdict, ok := map[int]string{0: "signed", 2: "unsigned"}[r.Exit]; ok {
		return verdict
	}
	return "error"
}

// TestNixVerdictsOnNarInfos asks the Nix on PATH for its verdicts on the odd
// narinfos of package narinfo, whose tests compare these with the package's own
// and list the differences. Without NIXS3_REQUIRE it asks for some.
func TestNixVerdictsOnNarInfos(t *testing.T) {
	nix := lab.NewNix(t)
	version := nix.Run("nix", "--version")
	column := slices.IndexFunc([]string{" 2.8.", " 2.26.", " 2.34."}, func(v string) bool { return strings.Contains(version, v) })
	if column < 0 {
		t.Logf("no verdicts of %s were recorded", version)
		return
	}
	table, err := os.ReadFile(filepath.FromSlash("../narinfo/testdata/nix-narinfo-verdicts.txt"))
	require.NoError(t, err)
	base, every := oddNarInfo(t), 12
	if os.Getenv("NIXS3_REQUIRE") != "" {
		every = 1
	}
	row := 0
	for line := range strings.Lines(string(table)) {
		columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if row++; strings.HasPrefix(line, "#") || row%every != 0 {
			continue
		}
		t.Run(columns[0], func(t *testing.T) {
			old, err := strconv.Unquote(columns[4])
			require.NoError(t, err)
			replacement, err := strconv.Unquote(columns[5])
			require.NoError(t, err)
			text := strings.Replace(base, old, replacement, 1)
			switch old {
			case "":
				text = base + replacement
			case "^":
				text = replacement + base
			}
			assert.Equal(t, columns[1+column], nixVerdict(t, nix, oddCache(t, nix, "StoreDir: /nix/store\n", text)), version)
		})
	}
}

// TestNixVerdictsOnCacheInfos compares Open and a read with the Nix on PATH, for
// each odd nix-cache-info.
func TestNixVerdictsOnCacheInfos(t *testing.T) {
	nix := lab.NewNix(t)
	info := oddNarInfo(t)
	p, err := storepath.ParseBase(oddPath)
	require.NoError(t, err)
	for name, text := range map[string]string{
		"usual":                       "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n",
		"empty":                       "",
		"no newline at the end":       "StoreDir: /nix/store",
		"no space":                    "StoreDir:/nix/store\n",
		"spaces and tabs":             "StoreDir: \t /nix/store \t\n",
		"CRLF":                        "StoreDir: /nix/store\r\nPriority: 30\r\n",
		"space before the colon":      "StoreDir : /other\n",
		"another case":                "storedir: /other\n",
		"another store":               "StoreDir: /other\n",
		"slash at the end":            "StoreDir: /nix/store/\n",
		"StoreDir twice, last wrong":  "StoreDir: /nix/store\nStoreDir: /other\n",
		"StoreDir twice, first wrong": "StoreDir: /other\nStoreDir: /nix/store\n",
		"StoreDir empty":              "StoreDir: \n",
		"StoreDir relative":           "StoreDir: nix/store\n",
		"no colon":                    "nonsense\nStoreDir: /nix/store\n",
		"blank lines":                 "\n\nStoreDir: /nix/store\n\n",
		"unknown field":               "Foo: bar\nStoreDir: /nix/store\n",
		"Priority of letters":         "Priority: abc\n",
		"Priority empty":              "Priority:\n",
		"Priority negative":           "Priority: -1\n",
		"Priority with a sign":        "Priority: +1\n",
		"Priority with text after it": "Priority: 30x\n",
		"Priority too large":          "Priority: 99999999999999999999\n",
		"Priority of 2^31":            "Priority: 2147483648\n",
		"Priority twice":              "Priority: 1\nPriority: 2\n",
		"WantMassQuery of true":       "WantMassQuery: true\n",
		"WantMassQuery empty":         "WantMassQuery:\n",
		"bytes that are not UTF-8":    "StoreDir: /nix/store\n\xff\xfe: \xff\n",
		"a NUL":                       "StoreDir: /nix/store\nA: \x00\n",
		"a byte order mark":           "\ufeffStoreDir: /other\n",
		"a page":                      "<html><body>Not: found</body></html>\n",
	} {
		t.Run(name, func(t *testing.T) {
			url := oddCache(t, nix, text, info)
			theirs := nixVerdict(t, nix, url) != "refuse"
			c, err := store.Open(t.Context(), url)
			if err == nil {
				_, err = c.NarInfo(t.Context(), p)
				c.Close()
			}
			assert.Equal(t, theirs, err == nil, "%v", err)
		})
	}
}
