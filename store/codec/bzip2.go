package codec

import (
	"bufio"
	"compress/bzip2"
	"io"
)

func bzip2Codec() Codec {
	return Codec{
		Name:   "bzip2",
		Detect: detectBzip2,
		NewReader: func(r io.Reader, _ ReaderOptions) (io.ReadCloser, error) {
			t := &tap{src: bufio.NewReader(r)} // of r itself where it is buffered
			return zeroTail{io.NopCloser(bzip2.NewReader(t)), t.src, func(err error) bool {
				return err == io.EOF || err.Error() == bzip2NoStream && t.zeros(2)
			}}, nil
		},
	}
}

// detectBzip2 recognises a stream by its signature, its block size and the
// beginning of a block or of the end of an empty stream.
func detectBzip2(prefix []byte) bool {
	if len(prefix) < 10 || string(prefix[:3]) != "BZh" || prefix[3] < '1' || prefix[3] > '9' {
		return false
	}
	marker := string(prefix[4:10])
	return marker == "\x31\x41\x59\x26\x53\x59" || marker == "\x17\x72\x45\x38\x50\x90"
}
