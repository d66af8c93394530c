package locate

import (
	"fmt"
	"path"
	"strings"
)

// Pattern selects files by their names.
type Pattern struct {
	text  string
	whole bool // the whole name is compared, not its last component
	glob  bool
}

// ParsePattern returns a pattern. Without a slash it selects the last component
// of a file's name: "hello" is a file of that name in any folder. With a slash it
// selects the name below the store path, so that "bin/hello" and "/bin/hello" are
// the same, and "/hello" is at the top. The characters *, ?, [ and \ mean what
// they do for path.Match: none of them matches a slash.
func ParsePattern(s string) (Pattern, error) {
	p := Pattern{text: strings.Trim(s, "/"), whole: strings.Contains(s, "/"), glob: strings.ContainsAny(s, `*?[\`)}
	if p.text == "" {
		return p, fmt.Errorf("pattern %q: expected the name of a file", s)
	}
	if _, err := path.Match(p.text, ""); err != nil {
		return p, fmt.Errorf("pattern %q: %w", s, err)
	}
	return p, nil
}

// Match reports whether the pattern selects a file with a name relative to its
// store path.
func (p Pattern) Match(name string) bool {
	if !p.whole {
		name = name[strings.LastIndexByte(name, '/')+1:]
	}
	if !p.glob {
		return name == p.text
	}
	ok, err := path.Match(p.text, name)
	return ok && err == nil
}
