package narinfo

import (
	"fmt"
	"strconv"
)

// MarshalText implements encoding.TextMarshaler. See [NarInfo.AppendText].
func (n *NarInfo) MarshalText() ([]byte, error) { return n.AppendText(nil) }

// AppendText implements encoding.TextAppender. It writes the lines in Nix's
// order and Nix's forms: references sorted and each once, signatures sorted.
// What Nix wrote and [Parse] read comes out identical. It fails, and returns
// dst as it was, where Nix could not read the text: without path, URL,
// Compression, NarHash or NarSize, or with a line end in a value.
//
// A buffer that is large enough is all the memory it needs, as long as the
// references are sorted.
func (n *NarInfo) AppendText(dst []byte) ([]byte, error) {
	if err := n.checkWritable(); err != nil {
		return dst, err
	}
	w := lineWriter{dst, n.Extra}

	w.begin(fieldStorePath)
	w.buf = n.StoreDir.AppendJoin(w.buf, n.Path)
	w.end()
	w.begin(fieldURL)
	w.buf = append(w.buf, n.URL...)
	w.end()
	w.begin(fieldCompression)
	w.buf = append(w.buf, n.Compression...)
	w.end()

	if w.beginIf(!n.FileHash.IsZero(), fieldFileHash) {
		w.buf = n.FileHash.AppendString(w.buf)
		w.end()
	}
	if w.beginIf(n.FileSize > 0, fieldFileSize) {
		w.buf = strconv.AppendInt(w.buf, n.FileSize, 10)
		w.end()
	}
	w.begin(fieldNarHash)
	w.buf = n.NarHash.AppendString(w.buf)
	w.end()
	w.begin(fieldNarSize)
	w.buf = strconv.AppendInt(w.buf, n.NarSize, 10)
	w.end()

	// The space behind the colon stays when there are no references.
	w.begin(fieldReferences)
	for i, ref := range n.sortedReferences() {
		if i > 0 {
			w.buf = append(w.buf, ' ')
		}
		w.buf = append(w.buf, ref.String()...)
	}
	w.end()

	if w.beginIf(!n.Deriver.IsZero(), fieldDeriver) {
		w.buf = append(w.buf, n.Deriver.String()...)
		w.end()
	}
	w.extras(fieldSig)
	for _, sig := range inNixOrder(n.Signatures) {
		w.name(fieldSig)
		w.buf = sig.appendString(w.buf)
		w.end()
	}
	if w.beginIf(!n.CA.IsZero(), fieldCA) {
		w.buf, _ = n.CA.AppendText(w.buf)
		w.end()
	}
	w.extras("")
	return w.buf, nil
}

func (n *NarInfo) checkWritable() error {
	if err := n.checkSigned(); err != nil {
		return err
	}
	err := n.checkFile()
	if err == nil && !n.CA.IsZero() {
		err = n.CA.Check()
	}
	for i := 0; err == nil && i < len(n.Signatures); i++ {
		err = checkKeyName(n.Signatures[i].KeyName)
	}
	if err != nil {
		return fmt.Errorf("narinfo of %s: %w", n.Path, err)
	}
	return nil
}

// lineWriter appends lines, and among them the extra ones in their places.
type lineWriter struct {
	buf   []byte
	extra []Field
}

// begin writes the extra lines that go before a field, and the field's name.
func (w *lineWriter) begin(name string) {
	w.extras(name)
	w.name(name)
}

// beginIf is begin for a field that may be absent. It returns present.
func (w *lineWriter) beginIf(present bool, name string) bool {
	w.extras(name)
	if present {
		w.name(name)
	}
	return present
}

func (w *lineWriter) name(name string) { w.buf = append(append(w.buf, name...), ": "...) }

func (w *lineWriter) end() { w.buf = append(w.buf, '\n') }

// extras writes the extra lines that go before a field, or to the end.
func (w *lineWriter) extras(before string) {
	for _, field := range w.extra {
		if field.Before == before {
			w.name(field.Name)
			w.buf = append(w.buf, field.Value...)
			w.end()
		}
	}
}
