package codec

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ContentEncoding returns the value of the HTTP header Content-Encoding for an
// object that is compressed with the named codec: the name itself, as Nix has
// it, and the empty string, for no header, for [None].
func ContentEncoding(name string) string {
	if name == None {
		return ""
	}
	return name
}

// FromContentEncoding returns the name of the codec that a Content-Encoding
// means, [None] for an empty one. It knows the names that HTTP defines
// (RFC 9110, section 8.4) and those of all codecs; "identity" and "aws-chunked",
// which some servers keep from the upload, mean nothing. Unknown encodings, and
// more than one of them, are errors.
func FromContentEncoding(value string) (string, error) {
	name := None
	for token := range strings.SplitSeq(value, ",") {
		token = strings.ToLower(strings.TrimSpace(token))
		if slices.Contains([]string{"", "identity", "aws-chunked", None}, token) {
			continue
		}
		if name != None {
			return "", fmt.Errorf("Content-Encoding %q: %w: more than one encoding", value, errors.ErrUnsupported)
		}
		name = strings.TrimPrefix(token, "x-")
		if _, err := Lookup(name); err != nil {
			return "", fmt.Errorf("Content-Encoding %q: %w", value, err)
		}
	}
	return name, nil
}
