package gc

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"example.com/nixs3/narinfo/storepath"
	"example.com/nixs3/store/codec"
)

// Bounds of what ReadPaths reads, in bytes when decompressed.
const (
	pathsLimit = 1 << 30
	lineLimit  = 64 << 10
)

// ReadPaths reads a list of store paths, one a line, such as the roots of
// [Options] or of a root. A line is a full store path or the base name of one, a
// file in a store path, or what "nix-store --gc --print-roots" prints: a link and
// after an arrow where it leads. Empty lines and lines that begin with "#" are
// left out. The list may be compressed in any way that package codec recognizes.
// An error names the line.
func ReadPaths(r io.Reader, dir storepath.Dir) ([]storepath.Path, error) {
	buffered := bufio.NewReader(r)
	magic, err := buffered.Peek(16)
	if err != nil && err != io.EOF {
		return nil, err
	}
	plain := io.Reader(buffered)
	if name := codec.Detect(magic); name != "" {
		d, err := codec.NewReader(name, buffered, codec.ReaderOptions{MaxSize: pathsLimit})
		if err != nil {
			return nil, err
		}
		defer d.Close()
		plain = d
	}
	lines := bufio.NewScanner(io.LimitReader(plain, pathsLimit))
	lines.Buffer(nil, lineLimit)
	var paths []storepath.Path
	seen := map[storepath.Path]bool{}
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		p, err := parseLine(line, dir)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if !seen[p] {
			seen[p] = true
			paths = append(paths, p)
		}
	}
	return paths, lines.Err()
}

func parseLine(line string, dir storepath.Dir) (storepath.Path, error) {
	if i := strings.LastIndex(line, " -> "); i >= 0 {
		line = line[i+len(" -> "):]
	}
	if !strings.HasPrefix(line, "/") {
		return storepath.ParseBase(line)
	}
	p, _, err := dir.Split(line)
	return p, err
}
