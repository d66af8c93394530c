package codec

import "io"

// DetectLen is how many bytes from the begin of a stream Detect makes use of.
const DetectLen = 24

// Detect returns the name of the codec whose signature a stream begins with,
// [None] for that of a NAR, and "" where there is none. br has no signature,
// and lzma a weak one, which counts last.
func Detect(prefix []byte) string {
	for _, c := range registered() {
		if c.Detect != nil && c.Detect(prefix) {
			return c.Name
		}
	}
	return ""
}

// NewReaderDetect is [NewReader] for data whose label may be wrong or missing:
// narinfos that name another compression than the NAR has, servers that lose
// the Content-Encoding or decode it and leave the header. The signature of the
// data decides, and the name where there is no signature; an empty name then
// means [None]. It also returns the name of the codec that it chose.
func NewReaderDetect(name string, r io.Reader, o ReaderOptions) (io.ReadCloser, string, error) {
	src := newSource(r)
	prefix, _ := src.Peek(DetectLen) // an error comes again when the codec reads
	name = choose(name, prefix)
	c, err := Lookup(name)
	if err != nil {
		src.release()
		return nil, "", err
	}
	rc, err := c.NewReader(src, o)
	return rc, name, err
}

// choose prefers the named codec where the prefix fits it as well as others.
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
