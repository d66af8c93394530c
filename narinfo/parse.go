package narinfo

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"example.com/nixs3/narinfo/nixhash"
	"example.com/nixs3/narinfo/storepath"
)

// The bounds of what is read. They are far above what caches have.
const (
	maxSize       = 4 << 20 // of a text in bytes
	maxReferences = 100_000
	maxSignatures = 256
	maxExtra      = 256 // lines in NarInfo.Extra
)

// ParseError describes a narinfo or nix-cache-info that cannot be read.
type ParseError struct {
	Kind  string // "narinfo" or "nix-cache-info"
	Line  int    // from 1; 0 if the error is not about one line
	Field string // name of the field; "" if the error is not about one field
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

// Unwrap returns the reason.
func (e *ParseError) Unwrap() error { return e.Err }

// Parse reads a narinfo as Nix 2.8, 2.26 and 2.34 do where these three agree.
// FileHash, FileSize, Compression, References, Deriver, Sig and CA may be
// absent. Fields come in any order. The last of several StorePath, URL,
// Compression, FileHash, FileSize, NarHash, NarSize or Deriver lines counts;
// a second CA, or a second line of References that are not empty, is an error.
// Hashes are read in every form.
//
// A Sig line that is not "<name>:<base64 of 64 bytes>" is not a signature. Parse
// keeps it in Extra.
//
// A name begins after the previous field's line end. As in Nix, an empty line,
// or one without a colon, thus becomes a part of the next line's name, so that
// the next line's field is lost. Parse does not keep such lines. At the end of
// the text they are errors.
//
// All three versions of Nix accept, and Parse refuses:
//
//   - a known field with another character than a space or a tab after the
//     colon. Nix drops that character: it reads "NarSize:1984" as 984;
//   - a size of 2^63 and more;
//   - a NarHash that is not SHA-256, which Nix cannot copy;
//   - more than 4 MiB of text, 100,000 references, 256 signatures or 256 lines of
//     Extra.
//
// All three refuse, and Parse accepts:
//
//   - BLAKE3 hashes and Git content addresses, for which newer Nix has
//     experimental features;
//   - a store directory that is not Nix's own.
//
// All three fail to verify a narinfo that has a Sig of the wrong length by a
// trusted key, even if another signature is good. Parse ignores such a Sig.
//
// All texts in the result are parts of one copy of data: retaining any of them
// retains the whole text.
//
// Every error is a [*ParseError].
func Parse(data []byte) (*NarInfo, error) {
	if len(data) > maxSize {
		return nil, &ParseError{Kind: kindNarInfo, Err: fmt.Errorf("%d bytes, at most %d are read", len(data), maxSize)}
	}
	p := parser{info: new(NarInfo), line: 1}
	for rest := string(data); rest != ""; {
		name, after, ok := strings.Cut(rest, ":")
		if !ok {
			return nil, p.errorf("", "%q has no colon, expected <name>: <value>", clip(strings.TrimRight(rest, "\n")))
		}
		p.line += strings.Count(name, "\n")
		if after == "" || after == "\n" {
			return nil, p.errorf(clip(name), "nothing after the colon")
		}
		// The separator may be any character, even a line end.
		end := 1 + strings.IndexByte(after[1:], '\n')
		if end == 0 {
			return nil, p.errorf("", "no line end, the text is cut off")
		}
		if err := p.field(name, after[0], after[1:end]); err != nil {
			return nil, &ParseError{kindNarInfo, p.line, clip(name), err}
		}
		p.line += strings.Count(after[:end+1], "\n")
		rest = after[end+1:]
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

	// defaultCompression is what an absent or empty Compression means.
	defaultCompression = CompressionBzip2

	// noDeriver is what some programs write for an unknown deriver.
	noDeriver = "unknown-deriver"
)

type parser struct {
	line  int
	info  *NarInfo
	seen  fieldSet
	moved int // how many extra fields have their Before
}

// fieldSet has a bit for each field that must be present.
type fieldSet uint8

const (
	seenStorePath fieldSet = 1 << iota
	seenURL
	seenNarHash
	seenNarSize
)

func (p *parser) errorf(field, format string, args ...any) error {
	return &ParseError{kindNarInfo, p.line, field, fmt.Errorf(format, args...)}
}

// field reads a line. The separator is the character after the colon.
func (p *parser) field(name string, separator byte, value string) (err error) {
	n := p.info
	switch name {
	case fieldStorePath:
		p.seen |= seenStorePath
		n.StoreDir, n.Path, err = parseFullPath(value)
	case fieldURL:
		p.seen |= seenURL
		n.URL = value
	case fieldCompression:
		n.Compression = Compression(value)
	case fieldFileHash:
		n.FileHash, err = nixhash.Parse(value)
	case fieldFileSize:
		n.FileSize, err = parseSize(value)
	case fieldNarHash:
		p.seen |= seenNarHash
		n.NarHash, err = nixhash.Parse(value)
		if a := n.NarHash.Algorithm(); err == nil && a != nixhash.SHA256 {
			err = fmt.Errorf("is of %v, expected sha256", a)
		}
	case fieldNarSize:
		p.seen |= seenNarSize
		n.NarSize, err = parseSize(value)
	case fieldReferences:
		err = p.references(value)
	case fieldDeriver:
		if value != noDeriver {
			n.Deriver, err = storepath.ParseBase(value)
		}
	case fieldSig:
		err = p.signature(value)
	case fieldCA:
		switch {
		case !n.CA.IsZero():
			err = errors.New("is repeated")
		case value != "":
			n.CA, err = storepath.ParseContentAddress(value)
		}
	default:
		if strings.Contains(name, "\n") {
			return nil
		}
		if separator != ' ' && separator != '\n' {
			value = string(separator) + value // Nix would drop it
		}
		return p.extra(Field{Name: name, Value: value})
	}
	if separator != ' ' && separator != '\t' {
		return errors.New("no space after the colon")
	}
	if err != nil {
		return err
	}
	for ; p.moved < len(n.Extra); p.moved++ {
		n.Extra[p.moved].Before = name
	}
	return nil
}

func (p *parser) extra(f Field) error {
	if len(p.info.Extra) >= maxExtra {
		return fmt.Errorf("more than %d unknown fields", maxExtra)
	}
	p.info.Extra = append(p.info.Extra, f)
	return nil
}

func (p *parser) references(value string) error {
	n := p.info
	if len(n.References) > 0 {
		return errors.New("is repeated")
	}
	if value == "" {
		return nil
	}
	n.References = make([]storepath.Path, 0, min(strings.Count(value, " ")+1, maxReferences))
	for base := range strings.SplitSeq(value, " ") {
		if base == "" {
			continue
		}
		if len(n.References) >= maxReferences {
			return fmt.Errorf("more than %d references", maxReferences)
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
	sig, err := ParseSignature(value)
	if err != nil {
		return p.extra(Field{Name: fieldSig, Value: value})
	}
	if len(p.info.Signatures) >= maxSignatures {
		return fmt.Errorf("more than %d signatures", maxSignatures)
	}
	p.info.Signatures = append(p.info.Signatures, sig)
	return nil
}

func (p *parser) finish() (*NarInfo, error) {
	p.line = 0
	n := p.info
	for _, required := range []struct {
		bit  fieldSet
		name string
	}{
		{seenStorePath, fieldStorePath}, {seenURL, fieldURL}, {seenNarHash, fieldNarHash}, {seenNarSize, fieldNarSize},
	} {
		if p.seen&required.bit == 0 {
			return nil, p.errorf(required.name, "is missing")
		}
	}
	if n.URL == "" {
		return nil, p.errorf(fieldURL, "is empty")
	}
	if n.NarSize == 0 {
		return nil, p.errorf(fieldNarSize, "is zero")
	}
	if n.Compression == "" {
		n.Compression = defaultCompression
	}
	// Appending to copies of n must not overwrite shared memory.
	n.References, n.Signatures, n.Extra = slices.Clip(n.References), slices.Clip(n.Signatures), slices.Clip(n.Extra)
	return n, nil
}

// parseFullPath reads a store path of any store directory, which need not be in
// its shortest form.
func parseFullPath(s string) (storepath.Dir, storepath.Path, error) {
	if strings.HasPrefix(s, "/") {
		s = path.Clean(s)
	}
	slash := strings.LastIndexByte(s, '/')
	if slash < 0 {
		return "", storepath.Path{}, fmt.Errorf("%q has no store directory, expected a full path", clip(s))
	}
	dir := storepath.Dir(s[:slash])
	if err := dir.Validate(); err != nil {
		return "", storepath.Path{}, err
	}
	p, err := dir.Parse(s)
	return dir, p, err
}

// parseSize reads a number of bytes, which may have a plus sign.
func parseSize(s string) (int64, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "+"), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of bytes below 2^63", clip(s))
	}
	return int64(n), nil
}
