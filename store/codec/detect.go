package codec

import "io"

// DetectLen is the number of bytes at the beginning of a stream that Detect uses.
const DetectLen = 24

// Detect returns the name of the codec whose signature the prefix begins with,
// [None] for the signature of a NAR, and "" if there is none. br has no
// signature; lzma has a weak one, which is tried last.
func Detect(prefix []byte) string {
	for _, c := range registered() {
		if c.Detect != nil && c.Detect(prefix) {
			return c.Name
		}
	}
	return ""
}

// NewReaderDetect is [NewReader] for data whose label may be wrong or missing:
// some narinfos name another compression than the NAR has, and some servers lose
// the Content-Encoding, or decode it and leave the header. The signature of the
// data decides; without a signature the name decides, and an empty name means
// [None]. NewReaderDetect also returns the name of the chosen codec.
func NewReaderDetect(name string, r io.Reader, o ReaderOptions) (io.ReadCloser, string, error) {
	src := newSource(r)
	prefix, _ := src.Peek(DetectLen) // the codec's read returns an error again
	name = choose(name, prefix)
	c, err := Lookup(name)
	if err != nil {
		src.release()
		return nil, "", err
	}
	rc, err := c.NewReader(src, o)
	return rc, name, err
}

// choose prefers the named codec if the prefix fits several.
func choose(name string, prefix []byte) string {
	if c, err := Lookup(name); err == nil && c.Detect != nil && c.Detect(prefix) {
		return name
	}
	if found := Detect(prefix); found != "" {
		return found
	}
	if name == "" {
		return None
	}
	return name
}
