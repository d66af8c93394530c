package nar_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/nar"
)

// consumers are all the ways to take a NAR in. Each must come to the same
// verdict.
var consumers = []struct {
	name    string
	consume func(t *testing.T, data string) error
}{
	{"Reader", func(t *testing.T, data string) error { return readAll(nar.NewReader(strings.NewReader(data)), true) }},
	{"Reader without Seek", func(t *testing.T, data string) error {
		return readAll(nar.NewReader(plain{strings.NewReader(data)}), true)
	}},
	{"Reader, contents skipped", func(t *testing.T, data string) error {
		return readAll(nar.NewReader(strings.NewReader(data)), false)
	}},
	{"Reader byte by byte", func(t *testing.T, data string) error {
		return readAll(nar.NewReader(iotest.OneByteReader(strings.NewReader(data))), true)
	}},
	{"Reader with late errors", func(t *testing.T, data string) error {
		return readAll(nar.NewReader(iotest.DataErrReader(strings.NewReader(data))), true)
	}},
	{"Validator", func(t *testing.T, data string) error {
		v := nar.NewValidator(nil)
		if _, err := io.WriteString(v, data); err != nil {
			assert.Equal(t, err, v.Close(), "an error stays")
			return err
		}
		return v.Close()
	}},
	{"Validator byte by byte", func(t *testing.T, data string) error {
		v := nar.NewValidator(func(*nar.Header) error { return nil })
		for _, b := range []byte(data) {
			if _, err := v.Write([]byte{b}); err != nil {
				return err
			}
		}
		return v.Close()
	}},
	{"List", func(t *testing.T, data string) error {
		_, err := nar.List(strings.NewReader(data))
		return err
	}},
	{"Restore", func(t *testing.T, data string) error {
		path := filepath.Join(t.TempDir(), "x")
		err := nar.Restore(strings.NewReader(data), path, nar.WithCaseHack(false))
		if err != nil {
			_, serr := os.Lstat(path)
			assert.ErrorIs(t, serr, os.ErrNotExist, "nothing is left of a failed Restore")
		}
		return err
	}},
}

func readAll(r *nar.Reader, contents bool) error {
	for {
		_, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil && contents {
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			return err
		}
	}
}

func TestRulesAreEnforced(t *testing.T) {
	padded := func(s string) string { // the last padding byte of the first regular file is not zero
		i := strings.Index(s, str("contents")) + len(str("contents")) + 8
		return s[:i+7] + "x" + s[i+8:]
	}
	file := regular("x")
	tests := []struct {
		name   string
		data   string
		reason string
		offset int64
		path   string
	}{
		{"not a NAR at all", "\xfd7zXZ\x00\x00\x04 and what else xz files begin with", `expected "nix-archive-1"`, 0, ""},
		{"another version", str("nix-archive-2") + file, `got "nix-archive-2"`, 0, ""},
		{"no parenthesis", archive(strs("type", "regular")), `expected "("`, 24, ""},
		{"wrong parenthesis", archive(strs("[", "type")), `got "["`, 24, ""},
		{"no type", archive(strs("(", "kind", "regular")), `expected "type"`, 40, ""},
		{"unknown type", archive(strs("(", "type", "fifo", ")")), `expected "regular" or "directory" or "symlink", got "fifo"`, 56, ""},
		{"type in capitals", archive(strs("(", "type", "Regular", "contents", "", ")")), `got "Regular"`, 56, ""},
		{"long tag", archive(strs("(", "type", strings.Repeat("r", 1000))), "1000 bytes", 56, ""},
		{"huge tag", archive(strs("(", "type") + "\xff\xff\xff\xff\xff\xff\xff\xff"), "18446744073709551615 bytes", 56, ""},
		{"x bit with a value", archive(strs("(", "type", "regular", "executable", "1", "contents", "", ")")), `got "1"`, 96, ""},
		{"x bit twice", archive(strs("(", "type", "regular", "executable", "", "executable", "", "contents", "", ")")), `expected "contents"`, 104, ""},
		{"x bit after the contents", archive(strs("(", "type", "regular", "contents", "", "executable", "", ")")), `got "executable"`, 96, ""},
		{"contents twice", archive(strs("(", "type", "regular", "contents", "", "contents", "", ")")), `got "contents"`, 96, ""},
		{"no contents", archive(strs("(", "type", "regular", ")")), `expected "contents" or "executable"`, 72, ""},
		{"contents beyond int64", archive(strs("(", "type", "regular", "contents") + "\x00\x00\x00\x00\x00\x00\x00\x80"), "contents of 9223372036854775808 bytes", 88, ""},
		{"padding of contents", padded(archive(file)), "padding", 97, ""},
		{"padding of a tag", strings.Replace(archive(file), "(\x00", "(x", 1), "padding", 24, ""},
		{"padding of a name", archive(directory(strings.Replace(entry("ab", file), "ab\x00", "ab\x01", 1))), "padding", 128, ""},
		{"padding of a target", archive(strings.Replace(symlink("ab"), "ab\x00", "ab\x01", 1)), "padding", 88, ""},
		{"no target", archive(strs("(", "type", "symlink", ")")), `expected "target"`, 72, ""},
		{"empty target", archive(symlink("")), "empty link target", 88, ""},
		{"target of 4096 bytes", archive(symlink(strings.Repeat("t", 4096))), "4096 bytes", 88, ""},
		{"NUL in a target", archive(symlink("a\x00b")), "NUL", 88, ""},
		{"empty name", archive(directory(entry("", file))), "empty name", 128, ""},
		{"name .", archive(directory(entry(".", file))), "reserved", 128, ""},
		{"name ..", archive(directory(entry("..", file))), "reserved", 128, ""},
		{"slash in a name", archive(directory(entry("a/b", file))), "slash", 128, ""},
		{"NUL in a name", archive(directory(entry("a\x00b", file))), "NUL", 128, ""},
		{"name of 256 bytes", archive(directory(entry(strings.Repeat("n", 256), file))), "256 bytes", 128, ""},
		{"duplicate name", archive(directory(entry("a", file), entry("a", file))), `duplicate name "a"`, 320, ""},
		{"names out of order", archive(directory(entry("b", file), entry("a", file))), `"a" does not sort after "b"`, 320, ""},
		{"prefix after the longer name", archive(directory(entry("ab", file), entry("a", file))), "sort", 320, ""},
		{"order is that of bytes", archive(directory(entry("a", file), entry("B", file))), "sort", 320, ""},
		{"order is unsigned", archive(directory(entry("\xff", file), entry("a", file))), "sort", 320, ""},
		{"order below the root", archive(directory(entry("d", directory(entry("b", file), entry("a", file))))), "sort", 456, "d"},
		{"order is remembered over a subdirectory", archive(directory(entry("b", directory(entry("z", file))), entry("a", file))), `"a" does not sort after "b"`, 488, ""},
		{"64 levels of directories", archive(nested(64)), "nested too deeply", 8696, strings.Repeat("d/", 62) + "d"},
		{"no parenthesis in an entry", archive(directory(strs("entry", "name", "a", "node") + file)), `expected "("`, 96, ""},
		{"no name in an entry", archive(directory(strs("entry", "(", "node") + file)), `expected "name"`, 112, ""},
		{"no node in an entry", archive(directory(strs("entry", "(", "name", "a", ")"))), `expected "node"`, 144, "a"},
		{"node before name", archive(directory(strs("entry", "(", "node") + file + strs("name", "a", ")"))), `expected "name"`, 112, ""},
		{"neither entry nor end", archive(strs("(", "type", "directory", "name")), `expected "entry" or ")"`, 80, ""},
		{"no end of an entry", archive(directory(strs("entry", "(", "name", "a", "node")+file, entry("b", file))), `expected ")"`, 256, ""},
		{"no end of a node", archive(directory(entry("a", strs("(", "type", "regular", "contents", "x")), entry("b", file))), `got "entry"`, 256, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, c := range consumers {
				t.Run(c.name, func(t *testing.T) {
					err := c.consume(t, tt.data)
					var fe *nar.FormatError
					require.ErrorAs(t, err, &fe)
					assert.Contains(t, fe.Reason, tt.reason)
					assert.Equal(t, tt.offset, fe.Offset, "offset")
					assert.Equal(t, tt.path, fe.Path, "path")
					assert.NotErrorIs(t, err, io.ErrUnexpectedEOF)
				})
			}
		})
	}
}

func TestWhatTheRulesAllow(t *testing.T) {
	long := strings.Repeat("n", 255)
	tests := []struct{ name, data string }{
		{"empty file", archive(regular(""))},
		{"empty directory", archive(directory())},
		{"empty executable", archive(executable(""))},
		{"link at the root", archive(symlink("/nowhere"))},
		{"target of 4095 bytes", archive(symlink(strings.Repeat("t/", 2047) + "t"))},
		{"name of 255 bytes", archive(directory(entry(long, regular("x"))))},
		{"63 levels of directories", archive(nested(63))},
		{"names that are not UTF-8", archive(directory(entry("\x01", regular("x")), entry("\xfe\xff", symlink("\xff"))))},
		{"names that look dangerous", archive(directory(entry("...", regular("x")), entry("\\", regular("x")), entry("a b\n", regular("x")), entry("~nix~case~hack~1", regular("x"))))},
		{"sibling that sorts into a directory's paths", archive(directory(entry("a", directory(entry("z", regular("1")))), entry("a.b", regular("2"))))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, c := range consumers {
				t.Run(c.name, func(t *testing.T) { assert.NoError(t, c.consume(t, tt.data)) })
			}
			var out bytes.Buffer
			require.NoError(t, rewrite(strings.NewReader(tt.data), &out))
			assert.Equal(t, tt.data, out.String(), "Writer")
		})
	}
}

func TestEveryTruncationIsAnError(t *testing.T) {
	data := archive(directory(
		entry("dir", directory(entry("f", regular("some contents")), entry("x", executable("12345678")))),
		entry("large", regular(strings.Repeat("0123456789", 1000))),
		entry("link", symlink("target")),
	))
	for _, c := range consumers {
		t.Run(c.name, func(t *testing.T) {
			require.NoError(t, c.consume(t, data))
			for n := range len(data) {
				if n > 1300 && n < len(data)-300 && n%97 != 0 {
					continue // inside the large file
				}
				if c.name == "Restore" && n%7 != 0 {
					continue // it is slow
				}
				err := c.consume(t, data[:n])
				require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d bytes", n)
				var fe *nar.FormatError
				require.ErrorAs(t, err, &fe, "%d bytes", n)
				if !strings.Contains(c.name, "skipped") && c.name != "List" {
					require.EqualValues(t, n, fe.Offset)
				}
			}
		})
	}
}

func TestBytesBehindTheNARAreRefusedWhenPushed(t *testing.T) {
	for name, w := range map[string]interface {
		io.WriteCloser
	}{"Validator": nar.NewValidator(nil), "ListingWriter": nar.NewListingWriter()} {
		t.Run(name, func(t *testing.T) {
			data := archive(regular("x"))
			n, err := io.WriteString(w, data+"\x00")
			assert.Equal(t, len(data), n)
			var fe *nar.FormatError
			require.ErrorAs(t, err, &fe)
			assert.EqualValues(t, len(data), fe.Offset)
			assert.Error(t, w.Close())
		})
	}
}

func TestHeadersArePushedAsTheyArePulled(t *testing.T) {
	for name, data := range goldenNARs(t) {
		t.Run(name, func(t *testing.T) {
			var pulled, pushed []nar.Header
			r := nar.NewReader(bytes.NewReader(data))
			for {
				h, err := r.Next()
				if err == io.EOF {
					break
				}
				require.NoError(t, err)
				pulled = append(pulled, *h)
			}
			v := nar.NewValidator(func(h *nar.Header) error {
				pushed = append(pushed, *h)
				return nil
			})
			for part := data; len(part) > 0; {
				n := min(len(part), 13)
				_, err := v.Write(part[:n])
				require.NoError(t, err)
				part = part[n:]
			}
			require.NoError(t, v.Close())
			assert.Equal(t, pulled, pushed)
		})
	}
}

func TestValidatorEndsWithTheVisitorsError(t *testing.T) {
	v := nar.NewValidator(func(h *nar.Header) error {
		if h.Path == "b" {
			return io.ErrClosedPipe
		}
		return nil
	})
	_, err := io.WriteString(v, archive(directory(entry("a", regular("")), entry("b", regular("")))))
	assert.Equal(t, io.ErrClosedPipe, err)
	assert.Equal(t, io.ErrClosedPipe, v.Close())
}

func TestMemoryDoesNotFollowWhatANARClaims(t *testing.T) {
	huge := archive(strs("(", "type", "regular", "contents")) + "\xff\xff\xff\xff\xff\xff\xff\x7f" + "only this"
	for _, c := range consumers {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			assert.ErrorIs(t, c.consume(t, huge), io.ErrUnexpectedEOF)
			runtime.ReadMemStats(&after)
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
		})
	}
}
