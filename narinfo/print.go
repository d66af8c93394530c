package narinfo

import (
	"fmt"
	"strconv"
)

// MarshalText implements encoding.TextMarshaler. See [NarInfo.AppendText].
func (n *NarInfo) MarshalText() ([]byte, error) {
	text, err := n.AppendText(make([]byte, 0, n.textSize()))
	if err != nil {
		return nil, err
	}
	return text, nil
}

// AppendText implements encoding.TextAppender. It writes the lines in Nix's
// order and form, with references and signatures sorted and without repetitions.
// For a text that Nix wrote and [Parse] read, the result is identical. Like Nix,
// AppendText writes a FileSize after every FileHash, even if it is 0, and no
// FileSize of 0 without a FileHash.
//
// It fails, and returns dst unchanged, if Nix could not read the text: without
// path, URL, NarHash or NarSize, or with a line end in a value. It also fails
// without Compression, which Nix would read as bzip2.
//
// With many signatures, references or extra fields, the text may exceed the
// bounds of [Parse].
//
// AppendText does not allocate if dst is large enough and references and
// signatures are sorted and do not repeat.
func (n *NarInfo) AppendText(dst []byte) ([]byte, error) {
	if err := n.checkWritable(); err != nil {
		return dst, n.wrap(err)
	}
	given, extra := dst, extraLines(n.Extra)

	dst = append(extra.before(dst, fieldStorePath), fieldStorePath+": "...)
	dst = n.StoreDir.AppendJoin(dst, n.Path)
	dst = append(dst, '\n')
	dst = append(extra.before(dst, fieldURL), fieldURL+": "...)
	dst = append(append(dst, n.URL...), '\n')
	dst = append(extra.before(dst, fieldCompression), fieldCompression+": "...)
	dst = append(append(dst, n.Compression...), '\n')

	dst = extra.before(dst, fieldFileHash)
	if !n.FileHash.IsZero() {
		dst = append(dst, fieldFileHash+": "...)
		dst = append(n.FileHash.AppendString(dst), '\n')
	}
	dst = extra.before(dst, fieldFileSize)
	if n.FileSize > 0 || !n.FileHash.IsZero() {
		dst = append(dst, fieldFileSize+": "...)
		dst = append(strconv.AppendInt(dst, n.FileSize, 10), '\n')
	}
	dst = append(extra.before(dst, fieldNarHash), fieldNarHash+": "...)
	dst = append(n.NarHash.AppendString(dst), '\n')
	dst = append(extra.before(dst, fieldNarSize), fieldNarSize+": "...)
	dst = append(strconv.AppendInt(dst, n.NarSize, 10), '\n')

	// Nix writes the space after the colon even without references.
	dst = append(extra.before(dst, fieldReferences), fieldReferences+": "...)
	dst, err := n.appendReferences(dst)
	if err != nil {
		return given, n.wrap(err)
	}
	dst = append(dst, '\n')

	dst = extra.before(dst, fieldDeriver)
	if !n.Deriver.IsZero() {
		dst = append(dst, fieldDeriver+": "...)
		dst = append(append(dst, n.Deriver.String()...), '\n')
	}
	dst = extra.before(dst, fieldSig)
	sigs := inNixOrder(n.Signatures)
	for i := range sigs {
		dst = append(dst, fieldSig+": "...)
		dst = append(sigs[i].appendString(dst), '\n')
	}
	dst = extra.before(dst, fieldCA)
	if n.CA.Method != 0 {
		dst = append(dst, fieldCA+": "...)
		dst = append(n.CA.AppendString(dst), '\n')
	}
	return extra.before(dst, ""), nil
}

// appendReferences appends the sorted references, separated by spaces.
func (n *NarInfo) appendReferences(dst []byte) ([]byte, error) {
	refs, err := n.signedReferences()
	for i, ref := range refs {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, ref.String()...)
	}
	return dst, err
}

// textSize returns an estimate of the size of the text, rarely too small.
func (n *NarInfo) textSize() int {
	const labelsHashesSizes = 512
	size := labelsHashesSizes + len(n.StoreDir) + len(n.Path.String()) + len(n.URL) + len(n.Deriver.String())
	for i := range n.References {
		size += len(n.References[i].String()) + 1
	}
	for i := range n.Signatures {
		size += len("Sig: :\n") + len(n.Signatures[i].KeyName) + signatureTextLen
	}
	for i := range n.Extra {
		size += len(n.Extra[i].Name) + len(n.Extra[i].Value) + len(": \n")
	}
	return size
}

// checkWritable returns an error if a field other than the references cannot be
// written.
func (n *NarInfo) checkWritable() error {
	err := n.checkSigned()
	if err == nil {
		err = n.checkFile()
	}
	if err == nil && !n.CA.IsZero() {
		err = n.CA.Validate()
	}
	if err == nil {
		err = checkSignatures(n.Signatures)
	}
	return err
}

// wrap adds the path of the narinfo to an error.
func (n *NarInfo) wrap(err error) error {
	if n.Path.IsZero() {
		return fmt.Errorf("narinfo: %w", err)
	}
	return fmt.Errorf("narinfo of %s: %w", n.Path, err)
}

// extraLines are lines that go among those of the known fields.
type extraLines []Field

// before appends the lines that precede a known field, or, for "", the end.
func (extra extraLines) before(dst []byte, name string) []byte {
	for i := range extra {
		if field := &extra[i]; field.Before == name {
			dst = append(append(append(append(dst, field.Name...), ": "...), field.Value...), '\n')
		}
	}
	return dst
}
