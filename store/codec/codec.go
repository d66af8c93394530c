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
	// ErrUnknown is wrapped by errors about a name that is not a compression.
	ErrUnknown = errors.New("unknown compression")
	// ErrMemory is wrapped by errors about a stream that asks for more memory
	// than [ReaderOptions].MaxMemory.
	ErrMemory = errors.New("compressed data needs too much memory")
	// ErrTooLarge is returned when a stream decodes to more than
	// [ReaderOptions].MaxSize bytes.
	ErrTooLarge = errors.New("decompressed data is too large")
)

// Codec is one way to compress a stream of bytes.
type Codec struct {
	// Name is the codec's name in the Compression field of a narinfo.
	Name string

	// Detect reports whether a stream that begins with prefix looks like one of
	// this codec. The prefix has DetectLen bytes, or all bytes of a shorter
	// stream. A nil Detect means that the format cannot be recognised.
	Detect func(prefix []byte) bool

	// NewReader returns a reader of the decompressed bytes. It may read from r
	// before it returns, and beyond the end of the compressed data. Closing the
	// reader does not close r.
	//
	// [Register] wraps it, so that the readers of every codec keep the promises
	// of the function [NewReader].
	NewReader func(r io.Reader, o ReaderOptions) (io.ReadCloser, error)

	// NewWriter returns a writer that writes compressed bytes to w. Closing it
	// completes the stream and does not close w. A nil NewWriter means that the
	// codec cannot compress.
	NewWriter func(w io.Writer, o WriterOptions) (io.WriteCloser, error)
}

// defaultMaxMemory is the limit that a [ReaderOptions].MaxMemory of zero means:
// 128 MiB, the largest window that Nix accepts.
const defaultMaxMemory = 128 << 20

// ReaderOptions bound the resources that untrusted data can make a reader use.
type ReaderOptions struct {
	// MaxMemory is the largest window or dictionary in bytes that a stream may
	// ask for. br, lzip, lzma, xz and zstd streams state the size in their
	// header; the reader of a stream that asks for more fails with ErrMemory
	// before it allocates. 0 means 128 MiB. The other codecs need a
	// fixed amount of at most a few MiB, which the package comment lists.
	MaxMemory int64

	// MaxSize is the greatest number of decompressed bytes. The reader of more
	// fails with ErrTooLarge. 0 means no limit.
	MaxSize int64

	// IgnoreChecksums skips the checksums that zstd frames may carry, for
	// callers that verify a stronger hash of the decompressed data. The other
	// codecs ignore it.
	IgnoreChecksums bool

	// Parallel decodes pieces on several cores, where the format allows: zstd
	// frames that state a content size of at most 4 MiB, as this package
	// writes them. The other codecs ignore it.
	Parallel bool
}

func (o ReaderOptions) maxMemory() int64 {
	if o.MaxMemory <= 0 {
		return defaultMaxMemory
	}
	return o.MaxMemory
}

// WriterOptions set the level and the parallelism of a writer.
type WriterOptions struct {
	// Level trades time for size in the codec's own scale; the package comment
	// has the scales. 0 and -1 mean the codec's default. A level outside of
	// the scale is an error.
	Level int

	// Parallel compresses on several cores, where the format allows to join
	// independently compressed pieces: gzip, lz4, lzip, xz and zstd. The
	// other codecs ignore it.
	Parallel bool

	// Workers is the number of cores that a parallel writer uses. 0 means all.
	// It does not change the output.
	Workers int
}

var registry struct {
	sync.RWMutex
	codecs []Codec // in the order of registration; detection goes from last to first
}

// Register makes a codec known by its name and replaces one of the same name. A
// program can so add a faster implementation, or a format that this package
// cannot read. Register panics if the name or NewReader is missing.
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

// registered returns the registered codecs, the latest first.
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

// unreadable are the formats that Nix knows and this package does not implement.
var unreadable = []string{"grzip", "lrzip", "lzop"}

// Lookup returns the codec with the given name. Names are lower case. The error
// wraps [errors.ErrUnsupported] for a name that Nix knows but no codec is
// registered for, and [ErrUnknown] for any other. The empty name is unknown; it
// does not mean bzip2, as it does in a narinfo.
func Lookup(name string) (Codec, error) {
	codecs := registered()
	for _, c := range codecs {
		if c.Name == name {
			return c, nil
		}
	}
	if slices.Contains(unreadable, name) {
		return Codec{}, fmt.Errorf("compression %q: %w: Nix knows this format, this package does not; add a codec with codec.Register", name, errors.ErrUnsupported)
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

// NewReader returns a reader that decompresses r with the named codec.
//
// Read returns io.EOF only after a complete stream that nothing follows. It
// returns a [*FormatError] for corrupt data, which wraps io.ErrUnexpectedEOF if
// the data ends early, and an error of r unchanged. An error is final. Close
// releases the reader's resources, also after an error, and leaves r open; Read
// must not be called after it. The reader is for one goroutine at a time. It
// starts goroutines only if Parallel is set; Close waits for them.
func NewReader(name string, r io.Reader, o ReaderOptions) (io.ReadCloser, error) {
	c, err := Lookup(name)
	if err != nil {
		return nil, err
	}
	return c.NewReader(r, o)
}

// NewWriter returns a writer that compresses to w with the named codec. The error
// wraps [errors.ErrUnsupported] if the codec can only decompress.
//
// The compressed stream is complete when Close has returned nil. Close leaves
// w open and waits for all goroutines; without Close they end by themselves.
// Only the goroutine that calls Write and Close writes to w. An error is final.
// The output depends only on the data, the codec, Level and Parallel; that of
// zstd does not depend on Parallel.
func NewWriter(name string, w io.Writer, o WriterOptions) (io.WriteCloser, error) {
	c, err := Lookup(name)
	if err != nil {
		return nil, err
	}
	if c.NewWriter == nil {
		return nil, fmt.Errorf("compression %q: %w: the codec decompresses only; add one that compresses with codec.Register", name, errors.ErrUnsupported)
	}
	return c.NewWriter(w, o)
}

// level returns the level, or def for the default. It fails for a level that is
// not between lowest and highest.
func (o WriterOptions) level(def, lowest, highest int) (int, error) {
	switch {
	case o.Level == 0 || o.Level == -1:
		return def, nil
	case o.Level < lowest || o.Level > highest:
		return 0, fmt.Errorf("expected a compression level between %d and %d, got %d", lowest, highest, o.Level)
	}
	return o.Level, nil
}
