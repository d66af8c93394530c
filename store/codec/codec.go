package codec

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// None is the name of the codec that leaves the bytes as they are.
const None = "none"

var (
	// ErrUnknown is wrapped by errors about a name that is no compression.
	ErrUnknown = errors.New("unknown compression")
	// ErrMemory is wrapped by errors about a stream that asks for more memory
	// than [ReaderOptions].MaxMemory.
	ErrMemory = errors.New("compressed data needs too much memory")
	// ErrTooLarge is returned where a stream decodes to more than
	// [ReaderOptions].MaxSize bytes.
	ErrTooLarge = errors.New("decompressed data is too large")
)

// Codec is one way to compress a stream of bytes.
type Codec struct {
	// Name is what a narinfo's Compression field calls it.
	Name string

	// Extension is what Nix adds to the name of a NAR, with its dot. It is
	// empty for the codecs for which Nix adds none.
	Extension string

	// Detect tells whether a stream that begins with prefix looks like one of
	// this codec. It is given DetectLen bytes, less where the stream has less.
	// nil: the format cannot be recognised.
	Detect func(prefix []byte) bool

	// NewReader returns a reader of the decompressed bytes. It may read from r
	// before it returns, and farther than the compressed data. Closing the
	// reader does not close r.
	//
	// [Register] wraps it, so that every reader, whoever wrote the codec,
	// keeps the promises of the function [NewReader].
	NewReader func(r io.Reader, o ReaderOptions) (io.ReadCloser, error)

	// NewWriter returns a writer that writes compressed bytes to w. Closing it
	// completes the stream and does not close w. nil: the codec cannot write.
	NewWriter func(w io.Writer, o WriterOptions) (io.WriteCloser, error)
}

// DefaultMaxMemory is the limit of [ReaderOptions].MaxMemory where it is zero:
// 128 MiB, the largest window that Nix accepts.
const DefaultMaxMemory = 128 << 20

// ReaderOptions bound what a reader does with data that nobody vouches for.
type ReaderOptions struct {
	// MaxMemory is the largest window or dictionary in bytes that a stream may
	// ask for: br, lzip, lzma, xz and zstd streams name the size in their
	// header. One that asks for more fails with ErrMemory before anything is
	// allocated. 0 means DefaultMaxMemory. The other codecs need a fixed
	// amount of a few MiB at most. See the package comment for the sums.
	MaxMemory int64

	// MaxSize is the number of bytes that may come out. One more fails with
	// ErrTooLarge. 0 means no limit.
	MaxSize int64

	// IgnoreChecksums leaves out the checksums that zstd frames may carry, for
	// whoever compares a better hash of what comes out. The others ignore it.
	IgnoreChecksums bool

	// Parallel decodes pieces on several cores, where the format allows: zstd
	// frames that state a content size of at most 4 MiB, as this package
	// writes them. The others ignore it.
	Parallel bool
}

func (o ReaderOptions) maxMemory() int64 {
	if o.MaxMemory <= 0 {
		return DefaultMaxMemory
	}
	return o.MaxMemory
}

// WriterOptions say how hard and on how many cores a writer compresses.
type WriterOptions struct {
	// Level trades time for size in the codec's own scale; the package comment
	// has the scales. 0 and -1 mean the codec's default. A level outside of
	// the scale is an error.
	Level int

	// Parallel compresses on several cores, where the format allows to join
	// independently compressed pieces: gzip, lz4, lzip, xz and zstd. The
	// others ignore it.
	Parallel bool

	// Workers is how many cores a parallel writer uses. 0 means all of them.
	// It never changes what is written.
	Workers int
}

var registry struct {
	sync.RWMutex
	codecs []Codec // in the order of registration, which is that of detection, from last to first
}

// Register makes a codec known by its name. One of the same name is replaced:
// so a program may bring a faster implementation, or one of the formats that
// this package cannot read. Register panics where the name or NewReader is
// missing.
func Register(c Codec) {
	if c.Name == "" || c.NewReader == nil {
		panic("codec: Register needs a name and NewReader")
	}
	c.NewReader = guardReader(c.Name, c.NewReader)
	if c.NewWriter != nil {
		c.NewWriter = guardWriter(c.Name, c.NewWriter)
	}
	registry.Lock()
	defer registry.Unlock()
	registry.codecs = slices.DeleteFunc(registry.codecs, func(old Codec) bool { return old.Name == c.Name })
	registry.codecs = append(registry.codecs, c)
}

// registered returns the codecs that are known now, the latest first.
func registered() []Codec {
	registry.RLock()
	defer registry.RUnlock()
	codecs := slices.Clone(registry.codecs)
	slices.Reverse(codecs)
	return codecs
}

// Names returns the names of all registered codecs in alphabetical order.
func Names() []string {
	var names []string
	for _, c := range registered() {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return names
}

// unreadable are the names that Nix knows and this package does not implement.
var unreadable = []string{"grzip", "lrzip", "lzop"}

// Lookup returns the codec with a name. It fails with an error that wraps
// [errors.ErrUnsupported] for a name that Nix knows but for which no codec is
// registered, and [ErrUnknown] for any other. Names are lower case. The empty
// name has no meaning here; a narinfo without Compression is bzip2.
func Lookup(name string) (Codec, error) {
	codecs := registered()
	for _, c := range codecs {
		if c.Name == name {
			return c, nil
		}
	}
	if slices.Contains(unreadable, name) {
		return Codec{}, fmt.Errorf("compression %q: %w: Nix knows the name, but no codec for it is built in; bring one with codec.Register", name, errors.ErrUnsupported)
	}
	names := Names()
	hint := ""
	if near := nearest(name, names); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	return Codec{}, fmt.Errorf("%w %q%s (known: %s)", ErrUnknown, name, hint, strings.Join(names, ", "))
}

// nearest returns the name that shares the longest beginning with s, and of
// several the one whose length differs least. Compressions are mistaken for
// each other by abbreviation (gz, zst, bz2, brotli), not by typing errors.
func nearest(s string, names []string) string {
	s = strings.ToLower(s)
	best, bestShared, bestDiff := "", 0, 0
	for _, name := range names {
		shared := 0
		for shared < min(len(s), len(name)) && s[shared] == name[shared] {
			shared++
		}
		diff := max(len(s), len(name)) - min(len(s), len(name))
		if shared > bestShared || shared == bestShared && shared > 0 && diff < bestDiff {
			best, bestShared, bestDiff = name, shared, diff
		}
	}
	return best
}

// Extension returns what Nix adds to the name of a NAR that is compressed so,
// ".xz" for xz. It is empty where Nix adds nothing (gzip, none) and for names
// that are not registered.
func Extension(name string) string {
	c, err := Lookup(name)
	if err != nil {
		return ""
	}
	return c.Extension
}

// NewReader returns a reader that decompresses r with the named codec.
//
// Its Read returns io.EOF only behind a complete stream that is followed by
// nothing. What is wrong with the data is told by a [*FormatError], which
// wraps io.ErrUnexpectedEOF where the data ends too early; an error of r comes
// out as it is. An error is final. Close releases what the reader holds, after
// an error too, and leaves r open; no Read may follow it. The reader is for
// one goroutine at a time and starts none, unless Parallel is set: then Close
// waits for those that decode.
func NewReader(name string, r io.Reader, o ReaderOptions) (io.ReadCloser, error) {
	c, err := Lookup(name)
	if err != nil {
		return nil, err
	}
	return c.NewReader(r, o)
}

// NewWriter returns a writer that compresses to w with the named codec. It
// fails with an error that wraps [errors.ErrUnsupported] where the codec can
// only read.
//
// The compressed stream is complete when Close has returned nil. Close leaves
// w open and waits for all goroutines; without Close they end by themselves,
// and the memory is left to the garbage collector. w is used by the goroutine
// that calls Write and Close, and by no other. An error is final. The bytes
// that are written depend on the data, the codec, Level and Parallel, and on
// nothing else; those of zstd not on Parallel either.
func NewWriter(name string, w io.Writer, o WriterOptions) (io.WriteCloser, error) {
	c, err := Lookup(name)
	if err != nil {
		return nil, err
	}
	if c.NewWriter == nil {
		return nil, fmt.Errorf("compression %q: %w: it can be read, not written; bring a codec that can with codec.Register", name, errors.ErrUnsupported)
	}
	return c.NewWriter(w, o)
}

// level returns the level that is meant, or an error where it is not between
// the lowest and the highest.
func (o WriterOptions) level(def, lowest, highest int) (int, error) {
	switch {
	case o.Level == 0 || o.Level == -1:
		return def, nil
	case o.Level < lowest || o.Level > highest:
		return 0, fmt.Errorf("compression level %d is not between %d and %d", o.Level, lowest, highest)
	}
	return o.Level, nil
}
