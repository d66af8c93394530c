package narinfo

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
)

// ParseOptions are what [ParseWith] insists on. The zero value is what [Parse]
// does.
type ParseOptions struct {
	// StoreDir is the directory that StorePath must be in. Empty allows
	// every one; it is in the result.
	StoreDir storepath.Dir

	MaxSize       int // of the text in bytes, by default 16 MiB
	MaxReferences int // by default 100,000
	MaxSignatures int // by default 256
	MaxExtra      int // lines of unknown names, by default 256
}

func (o ParseOptions) withDefaults() ParseOptions {
	set := func(n *int, value int) {
		if *n == 0 {
			*n = value
		}
	}
	set(&o.MaxSize, 16<<20)
	set(&o.MaxReferences, 100_000)
	set(&o.MaxSignatures, defaultMaxSignatures)
	set(&o.MaxExtra, 256)
	return o
}

// ParseError is a narinfo or nix-cache-info that cannot be read.
type ParseError struct {
	Kind  string // "narinfo" or "nix-cache-info"
	Line  int    // from 1; 0 where it is not about one line
	Field string // name of the field; empty where it is not about one
	Err   error
}

// Error names the line and the field.
func (e *ParseError) Error() string {
	var b strings.Builder
	b.WriteString(e.Kind)
	if e.Line > 0 {
		fmt.Fprintf(&b, ": line %d", e.Line)
	}
	if e.Field != "" {
		fmt.Fprintf(&b, ": %s", quoteNames(e.Field))
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	return b.String()
}

// Unwrap returns what is wrong with the line.
func (e *ParseError) Unwrap() error { return e.Err }

// Parse reads a narinfo. It takes fields in any order, keeps unknown ones,
// does without FileHash, FileSize, Compression, References and Deriver, and
// reads hashes in every form. Empty lines are left out.
//
// It is stricter than Nix 2.8, which goes on where it is unclear what was
// meant. Nix accepts, and Parse refuses:
//
//   - a field that is there twice, of which Nix takes the last;
//   - a line without a colon in the middle, which Nix takes for part of the next
//     line's name;
//   - a known field without the space behind the colon: Nix skips the character
//     that is there;
//   - a size with a plus sign, or of 2^63 and more;
//   - a StorePath that is not in its shortest form, such as /nix/store//... or
//     /nix/./store/...;
//   - a name that is, or begins with, a relative directory, such as ".." or ".-x",
//     which newer Nix refuses too;
//   - a NarHash that is not of SHA-256;
//   - a Sig that is not "<name>:<base64 of 64 bytes>", or whose name is empty,
//     longer than 255 bytes, not UTF-8, or has white space or control
//     characters. Nix looks at a signature only when it names a trusted key:
//     then it fails, else it passes over the line;
//   - more than the bounds of [ParseOptions].
//
// The other way round, Nix refuses and Parse accepts:
//
//   - an empty line before the first: Nix takes an empty line for part of the
//     next line's name, so that it misses StorePath here, and another field
//     elsewhere;
//   - an unknown field with nothing behind the colon, not even a space, in the
//     last line. In another line Nix takes the line behind it for its value;
//   - BLAKE3 hashes and Git content addresses, which newer Nix knows;
//   - a store directory that is not its own, unless ParseOptions name one.
//
// All texts in the result are parts of one copy of data: who keeps but a Path
// keeps all of it.
//
// Every error is a [*ParseError].
func Parse(data []byte) (*NarInfo, error) { return ParseWith(data, ParseOptions{}) }

// ParseWith is [Parse] with bounds and a store directory of one's own.
func ParseWith(data []byte, opts ParseOptions) (*NarInfo, error) {
	opts = opts.withDefaults()
	if len(data) > opts.MaxSize {
		return nil, &ParseError{Kind: kindNarInfo, Err: fmt.Errorf("%d bytes, at most %d are read", len(data), opts.MaxSize)}
	}
	p := parser{opts: opts, info: new(narInfoRoom)}
	// One string that all values are parts of.
	for rest := string(data); rest != ""; {
		p.line++
		line, after, ok := cut(rest, '\n')
		if !ok {
			return nil, p.errorf("", "no line end, the text is cut off")
		}
		rest = after
		if line == "" {
			continue
		}
		name, value, ok := cut(line, ':')
		if !ok {
			return nil, p.errorf("", "%q has no colon, expected <name>: <value>", clip(line))
		}
		if err := p.field(name, value); err != nil {
			return nil, &ParseError{kindNarInfo, p.line, clip(name), err}
		}
	}
	return p.finish()
}

// UnmarshalText implements encoding.TextUnmarshaler: [Parse].
func (n *NarInfo) UnmarshalText(text []byte) error {
	parsed, err := Parse(text)
	if err != nil {
		return err
	}
	*n = *parsed
	return nil
}

const (
	kindNarInfo = "narinfo"

	defaultMaxSignatures = 256

	// defaultCompression is what an absent or empty Compression means.
	defaultCompression = CompressionBzip2

	// noDeriver is written for an unknown deriver by some.
	noDeriver = "unknown-deriver"
)

// narInfoRoom is a NarInfo with room for what most have: one allocation in
// place of three.
type narInfoRoom struct {
	NarInfo
	signatures [1]Signature
	references [8]storepath.Path
}

type parser struct {
	opts  ParseOptions
	line  int
	info  *narInfoRoom
	seen  uint16 // bit for each field that must be there once
	moved int    // extra fields whose place is known
}

// Bits of parser.seen.
const (
	seenStorePath = 1 << iota
	seenURL
	seenCompression
	seenFileHash
	seenFileSize
	seenNarHash
	seenNarSize
	seenDeriver
	seenCA
)

func (p *parser) errorf(field, format string, args ...any) error {
	return &ParseError{kindNarInfo, p.line, field, fmt.Errorf(format, args...)}
}

// field reads a line; value begins with the space behind the colon.
func (p *parser) field(name, value string) (err error) {
	value, spaced := strings.CutPrefix(value, " ")
	n := p.info
	var bit uint16
	switch name {
	case fieldStorePath:
		bit = seenStorePath
		n.StoreDir, n.Path, err = parseFullPath(value)
		if want := p.opts.StoreDir; err == nil && want != "" && n.StoreDir != want {
			err = fmt.Errorf("%q is not in the store directory %q", clip(value), want)
		}
	case fieldURL:
		bit = seenURL
		n.URL = value
		if value == "" {
			err = errors.New("is empty")
		}
	case fieldCompression:
		bit = seenCompression
		n.Compression = Compression(value)
	case fieldFileHash:
		bit = seenFileHash
		n.FileHash, err = nixhash.Parse(value)
	case fieldFileSize:
		bit = seenFileSize
		n.FileSize, err = parseSize(value)
	case fieldNarHash:
		bit = seenNarHash
		n.NarHash, err = nixhash.Parse(value)
		if a := n.NarHash.Algorithm(); err == nil && a != nixhash.SHA256 {
			err = fmt.Errorf("is of %v, expected sha256", a)
		}
	case fieldNarSize:
		bit = seenNarSize
		n.NarSize, err = parseSize(value)
		if err == nil && n.NarSize == 0 {
			err = errors.New("is zero")
		}
	case fieldReferences:
		err = p.references(value)
	case fieldDeriver:
		bit = seenDeriver
		if value != noDeriver {
			n.Deriver, err = storepath.ParseBase(value)
		}
	case fieldSig:
		err = p.signature(value)
	case fieldCA:
		bit = seenCA
		if value != "" {
			n.CA, err = storepath.ParseContentAddress(value)
		}
	default:
		if len(n.Extra) >= p.opts.MaxExtra {
			return fmt.Errorf("more than %d unknown fields", p.opts.MaxExtra)
		}
		n.Extra = append(n.Extra, Field{Name: name, Value: value})
		return nil
	}
	if !spaced {
		// Nix skips two characters here, whatever they are.
		return errors.New("no space behind the colon")
	}
	if err != nil {
		return err
	}
	if p.seen&bit != 0 {
		return errors.New("is there a second time")
	}
	p.seen |= bit
	for ; p.moved < len(n.Extra); p.moved++ {
		n.Extra[p.moved].Before = name
	}
	return nil
}

func (p *parser) references(value string) error {
	n := p.info
	if len(n.References) > 0 {
		return errors.New("is there a second time")
	}
	if value == "" {
		return nil
	}
	count := min(strings.Count(value, " ")+1, p.opts.MaxReferences)
	if count <= len(n.references) {
		n.References = n.references[:0:count]
	} else {
		n.References = make([]storepath.Path, 0, count)
	}
	for value != "" {
		var base string
		base, value, _ = cut(value, ' ')
		if base == "" {
			continue
		}
		if len(n.References) >= p.opts.MaxReferences {
			return fmt.Errorf("more than %d references", p.opts.MaxReferences)
		}
		ref, err := storepath.ParseBase(base)
		if err != nil {
			return err
		}
		n.References = append(n.References, ref)
	}
	return nil
}

func (p *parser) signature(value string) error {
	n := p.info
	if len(n.Signatures) >= p.opts.MaxSignatures {
		return fmt.Errorf("more than %d signatures", p.opts.MaxSignatures)
	}
	sig, err := ParseSignature(value)
	if err != nil {
		return err
	}
	if n.Signatures == nil {
		n.Signatures = n.signatures[:0]
	}
	n.Signatures = append(n.Signatures, sig)
	return nil
}

func (p *parser) finish() (*NarInfo, error) {
	p.line = 0
	for _, required := range []struct {
		bit  uint16
		name string
	}{
		{seenStorePath, fieldStorePath}, {seenURL, fieldURL}, {seenNarHash, fieldNarHash}, {seenNarSize, fieldNarSize},
	} {
		if p.seen&required.bit == 0 {
			return nil, p.errorf(required.name, "is missing")
		}
	}
	if p.info.Compression == "" {
		p.info.Compression = defaultCompression
	}
	return &p.info.NarInfo, nil
}

// cut is strings.Cut for a separator of one byte, for half of the price.
func cut(s string, separator byte) (before, after string, found bool) {
	if i := strings.IndexByte(s, separator); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// parseFullPath reads a store path of any store directory.
func parseFullPath(s string) (storepath.Dir, storepath.Path, error) {
	slash := strings.LastIndexByte(s, '/')
	if slash < 0 {
		return "", storepath.Path{}, fmt.Errorf("%q has no store directory, expected a full path", clip(s))
	}
	dir := storepath.Dir(s[:slash])
	if dir != storepath.Default {
		if err := dir.Check(); err != nil {
			return "", storepath.Path{}, err
		}
	}
	path, err := dir.Parse(s)
	return dir, path, err
}

// parseSize reads a number of bytes: digits alone, no sign.
func parseSize(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of bytes", clip(s))
	}
	return int64(n), nil
}
