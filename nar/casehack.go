package nar

import (
	"fmt"
	"strconv"
	"strings"
)

const caseHackSuffix = "~nix~case~hack~"

// unhack returns the name in the NAR of a file with a name on disk.
func unhack(name string) string {
	name, _, _ = strings.Cut(name, caseHackSuffix)
	return name
}

// caseHack assigns names on disk to the entries of one directory, whose names it
// keeps in memory.
type caseHack map[string]int

// hack returns the name on disk for an entry.
func (c caseHack) hack(name string) (string, error) {
	if strings.Contains(name, caseHackSuffix) {
		return "", fmt.Errorf("name %s has the suffix of the case hack", quote(name))
	}
	folded := strings.ToLower(name)
	n, taken := c[folded]
	if !taken {
		c[folded] = 0
		return name, nil
	}
	c[folded] = n + 1
	hacked := name + caseHackSuffix + strconv.Itoa(n+1)
	if len(hacked) > maxName {
		return "", fmt.Errorf("name %s is too long for the suffix of the case hack", quote(name))
	}
	// A name with the suffix in another case would be the same file.
	if key := strings.ToLower(hacked); c.has(key) {
		return "", fmt.Errorf("name %s collides with one that has the suffix of the case hack", quote(name))
	} else {
		c[key] = 0
	}
	return hacked, nil
}

func (c caseHack) has(key string) bool {
	_, ok := c[key]
	return ok
}
