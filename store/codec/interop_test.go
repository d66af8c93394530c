package codec_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/nixs3/store/codec"
)

// run pipes in through a program, and skips the test where there is none.
func run(t *testing.T, in []byte, program string, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed", program)
	}
	var out, stderr bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &stderr
	require.NoError(t, cmd.Run(), "%s: %s", program, &stderr)
	return out.Bytes()
}

// decoders are the formats' own programs.
var decoders = map[string][]string{
	"zstd": {"zstd", "-dc"},
	"xz":   {"xz", "-dc"},
	"gzip": {"gzip", "-dc"},
	"br":   {"brotli", "-dc"},
	"lz4":  {"lz4", "-dc"},
	"lzip": {"lzip", "-dc"},
	"lzma": {"xz", "-dc", "--format=lzma"},
}

func TestToolsReadWhatIsWritten(t *testing.T) {
	for name, program := range decoders {
		inputs := map[string][]byte{"empty": {}, "small": text(20_000), "larger": text(600_000), "frames": frames(3)}
		if slow[name] {
			inputs["frames"] = append(make([]byte, 8<<20), text(1000)...)
		}
		for input, data := range inputs {
			for _, parallel := range []bool{false, true} {
				if slow[name] && parallel != (input == "frames") {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/parallel=%v", name, input, parallel), func(t *testing.T) {
					out := encode(t, name, data, codec.WriterOptions{Level: 1, Parallel: parallel})
					assert.True(t, bytes.Equal(data, run(t, out, program[0], program[1:]...)))
				})
			}
		}
	}
}

func TestReadsWhatToolsWriteNow(t *testing.T) {
	encoders := map[string][][]string{
		"zstd":     {{"zstd", "-c"}, {"zstd", "-19", "-c"}, {"zstd", "-T2", "-1", "-c"}, {"zstd", "--long=27", "--no-check", "-c"}},
		"xz":       {{"xz", "-c"}, {"xz", "-9e", "-T2", "--block-size=100KiB", "-c"}, {"xz", "--x86", "--lzma2", "-c"}},
		"gzip":     {{"gzip", "-c"}, {"gzip", "-1", "-c"}},
		"bzip2":    {{"bzip2", "-c"}, {"bzip2", "-1", "-c"}, {"pbzip2", "-1", "-c"}},
		"br":       {{"brotli", "-q", "4", "-c"}, {"brotli", "-q", "9", "-w", "24", "-c"}},
		"lz4":      {{"lz4", "-c"}, {"lz4", "-9", "-BD", "-c"}, {"lz4", "-l", "-c"}},
		"lzip":     {{"lzip", "-c"}, {"lzip", "-1", "-c"}, {"plzip", "-B", "128KiB", "-c"}},
		"lzma":     {{"xz", "--format=lzma", "-c"}},
		"compress": {{"compress", "-c"}, {"compress", "-b", "12", "-c"}},
	}
	inputs := map[string][]byte{"text": text(150_000), "mixed": frames(2)[4<<20-1<<17 : 4<<20+1<<18]}
	for name, programs := range encoders {
		for _, program := range programs {
			for input, data := range inputs {
				t.Run(fmt.Sprintf("%s/%v", input, program), func(t *testing.T) {
					back, err := decode(name, run(t, data, program[0], program[1:]...), codec.ReaderOptions{})
					require.NoError(t, err)
					assert.True(t, bytes.Equal(data, back))
				})
			}
		}
	}
}
