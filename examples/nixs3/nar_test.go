package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// helloNAR is the archive of hello-1.0, compressed.
const helloNAR = "testdata/cache/nar/1r08r0kfn5rn7mm0r9jyxa96mx9hsjx1nbcpibj7ckc9d3lzh450.nar.zst"

// plainNAR returns the archive of hello-1.0, not compressed.
func plainNAR(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(helloNAR)
	require.NoError(t, err)
	d, err := zstd.NewReader(nil)
	require.NoError(t, err)
	defer d.Close()
	data, err = d.DecodeAll(data, nil)
	require.NoError(t, err)
	return string(data)
}

func TestNarLs(t *testing.T) {
	plain := plainNAR(t)
	inFile := filepath.Join(t.TempDir(), "hello.nar")
	require.NoError(t, os.WriteFile(inFile, []byte(plain), 0o644))
	check(t, []command{
		{"the root", []string{"nar", "ls", helloNAR}, "", "./bin\n./share\n", "", exitOK},
		{"a pipe", []string{"nar", "ls", "-"}, plain, "./bin\n./share\n", "", exitOK},
		{"an uncompressed file", []string{"nar", "ls", inFile}, "", "./bin\n./share\n", "", exitOK},
		{"a folder", []string{"nar", "ls", helloNAR, "/bin"}, "", "./hello\n./hi\n./readme-link\n", "", exitOK},
		{"a file", []string{"nar", "ls", helloNAR, "./bin/hello"}, "", "hello\n", "", exitOK},
		{"long", []string{"nar", "ls", "-l", helloNAR, "bin/"}, "",
			"-r-xr-xr-x                   21 ./hello\n" +
				"lrwxrwxrwx                    0 ./hi -> hello\n" +
				"lrwxrwxrwx                    0 ./readme-link -> ../share/doc/hello/README\n", "", exitOK},
		{"recursive", []string{"nar", "ls", "-lR", helloNAR, "share"}, "",
			"dr-xr-xr-x                    0 ./doc\n" +
				"dr-xr-xr-x                    0 ./doc/hello\n" +
				"-r--r--r--                    5 ./doc/hello/README\n" +
				"dr-xr-xr-x                    0 ./empty-dir\n" +
				"-r--r--r--                    0 ./empty-file\n", "", exitOK},
		{"json", []string{"nar", "ls", "--json", helloNAR}, "",
			`{"type":"directory","entries":{"bin":{},"share":{}}}` + "\n", "", exitOK},
		{"json, recursive", []string{"nar", "ls", "--json", "-R", helloNAR, "bin"}, "",
			`{"type":"directory","entries":{"hello":{"type":"regular","size":21,"executable":true,"narOffset":400},` +
				`"hi":{"type":"symlink","target":"hello"},"readme-link":{"type":"symlink","target":"../share/doc/hello/README"}}}` + "\n", "", exitOK},
		{"nothing there", []string{"nar", "ls", helloNAR, "lib"}, "", "", `there is no "lib" in the NAR`, exitFailed},
		{"no such file", []string{"nar", "ls", "testdata/none.nar"}, "", "", "testdata/none.nar", exitFailed},
		{"not a NAR", []string{"nar", "ls", "-"}, "hello, world, this is not an archive", "", "offset 0", exitFailed},
		{"a truncated NAR", []string{"nar", "ls", "-"}, plain[:1000], "", "the NAR ends early", exitFailed},
	})
}

func TestNarCat(t *testing.T) {
	plain := plainNAR(t)
	check(t, []command{
		{"a file", []string{"nar", "cat", helloNAR, "share/doc/hello/README"}, "", "docs\n", "", exitOK},
		{"from a pipe", []string{"nar", "cat", "-", "/bin/hello"}, plain, "#!/bin/sh\necho hello\n", "", exitOK},
		{"an empty file", []string{"nar", "cat", helloNAR, "share/empty-file"}, "", "", "", exitOK},
		{"a folder", []string{"nar", "cat", helloNAR, "bin"}, "", "", `"bin" is a directory, expected a regular file`, exitFailed},
		{"a link", []string{"nar", "cat", helloNAR, "bin/hi"}, "", "", `"bin/hi" is a symbolic link to "hello"`, exitFailed},
		{"nothing there", []string{"nar", "cat", helloNAR, "bin/hullo"}, "", "", `there is no "bin/hullo" in the NAR`, exitFailed},
	})
}

func TestNarRestoreAndDump(t *testing.T) {
	plain := plainNAR(t)
	for name, source := range map[string][]string{"compressed file": {helloNAR}, "pipe": nil, "pipe by name": {"-"}} {
		t.Run(name, func(t *testing.T) {
			target := filepath.Join(t.TempDir(), "hello")
			got := nixs3(t, plain, append([]string{"nar", "restore", target}, source...)...)
			require.Equal(t, result{}, got)
			text, err := os.ReadFile(filepath.Join(target, "bin", "hello"))
			require.NoError(t, err)
			assert.Equal(t, "#!/bin/sh\necho hello\n", string(text))
			assert.Equal(t, result{stdout: plain}, nixs3(t, "", "nar", "dump", target))
		})
	}
}

func TestNarRestoreFailures(t *testing.T) {
	plain := plainNAR(t)
	existing := t.TempDir()
	fresh := func() string { return filepath.Join(t.TempDir(), "target") }
	check(t, []command{
		{"onto something", []string{"nar", "restore", existing}, plain, "", existing, exitFailed},
		{"truncated", []string{"nar", "restore", fresh()}, plain[:len(plain)-8], "", "the NAR ends early", exitFailed},
		{"followed by something", []string{"nar", "restore", fresh()}, plain + "x", "", "after the end of the NAR", exitFailed},
	})
	for name, stdin := range map[string]string{"truncated": plain[:500], "followed by something": plain + "x"} {
		t.Run("nothing is left of one "+name, func(t *testing.T) {
			target := fresh()
			require.Equal(t, exitFailed, nixs3(t, stdin, "nar", "restore", "--store", target).exit)
			assert.NoDirExists(t, target)
		})
	}
}

func TestNarDumpMissing(t *testing.T) {
	check(t, []command{
		{"missing", []string{"nar", "dump", "testdata/none"}, "", "", "testdata/none", exitFailed},
	})
}

func TestVisible(t *testing.T) {
	for name, c := range map[string][2]string{
		"plain":         {"a b", "a b"},
		"UTF-8":         {"日本語 \uFFFD", "日本語 \uFFFD"},
		"newline":       {"a\nb", `a\nb`},
		"escape":        {"\x1b[2J", `\x1b[2J`},
		"not UTF-8":     {"latin1-\xe9", "latin1-\xe9"},
		"C1 control":    {"\u009b", `\u009b`},
		"empty":         {"", ""},
		"long and odd":  {strings.Repeat("x", 300), strings.Repeat("x", 300)},
		"tab and quote": {"\t\"", `\t"`},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c[1], visible(c[0])) })
	}
}
